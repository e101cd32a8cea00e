import { Crowd, fatesOf, summaryOf } from '../support/crowd';
import { figure, LONG, quantile } from '../support/figures';
import { MIB } from '../support/images';
import { Patterned } from '../support/patterned';
import { contentAsked, seedBlob } from '../support/registry-blobs';
import { startStand, visit } from '../support/stand';
import { describeWith } from '../support/tools';

const ALLOWED = 200 * MIB;

describeWith(['docker-registry', 'openssl'], 'a herd of clients', () => {
  it.each([
    { clients: 200, size: 256, auth: 'none' as const },
    { clients: 500, size: LONG ? 100 : 8, auth: 'token' as const },
  ])(
    'F21: $clients clients at once for one cold blob of $size MiB cost one GET (login upstream: $auth)',
    async ({ clients, size, auth }) => {
      const { gate, registry } = await startStand(auth, { MAX_CONNECTIONS: '1000' });
      const content = new Patterned(size * MIB, `herd-${clients}`);
      await seedBlob(registry, 'team/app', content);
      const { token } = await visit(gate, await gate.addAccount(), 'team/app', 'pull');
      const idle = gate.memory().now;
      gate.forgetPeak();

      const path = `/v2/team/app/blobs/${content.digest}`;
      const crowd = new Crowd(gate, { clients, path, content, token, hashing: 5 });
      const ends = await crowd.ended();

      const { peak } = gate.memory();
      figure('F21', `a herd for one cold blob of ${size} MiB, login upstream: ${auth}`, {
        ...fatesOf(ends),
        firstByteMedianMs: quantile(
          ends.map(({ first = NaN }) => first),
          0.5,
        ),
        idleMiB: Math.round(idle / MIB),
        moreAtPeakMiB: Math.round((peak - idle) / MIB),
      });
      expect(summaryOf(ends)).toEqual({
        whole: clients,
        statuses: { 200: clients },
        digests: [content.digest],
      });
      expect(await contentAsked(registry, content.digest)).toEqual([`GET blobs/${content.digest}`]);
      expect(peak - idle).toBeLessThan(ALLOWED);
    },
    600_000,
  );
});
