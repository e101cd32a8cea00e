import fc from 'fast-check';
import { contentNetworkOf } from './known-content-hosts';

it.each([
  ['production.cloudflare.docker.com', 'docker hub, cloudflare'],
  ['production.cloudfront.docker.com:443', 'docker hub, cloudfront'],
  [
    'docker-images-prod.6aa30f8b08e16409b46e0173d6de2f56.r2.cloudflarestorage.com',
    'docker hub, r2',
  ],
  ['pkg-containers.githubusercontent.com', 'github packages'],
  ['CDN03.quay.io', 'quay'],
  ['eastus.data.mcr.microsoft.com', 'microsoft artifact registry'],
  ['us-docker.pkg.dev', 'google artifact registry'],
  ['storage.googleapis.com', 'google cloud storage'],
  ['account.blob.core.windows.net', 'azure blob storage'],
  ['s3.amazonaws.com', 's3'],
  ['prod-registry-k8s-io-eu-west-1.s3.dualstack.eu-west-1.amazonaws.com', 's3'],
  ['quayio-production-s3.s3.amazonaws.com', 's3'],
  ['bucket.s3-eu-west-1.amazonaws.com', 's3'],
  ['d5l0dvt14r5h8.cloudfront.net', 'cloudfront'],
])('%s is known: %s', (host, network) => {
  expect(contentNetworkOf(host)).toBe(network);
});

it.each([
  '127.0.0.1:5000',
  'registry.example.com',
  'cloudfront.net.example.com',
  'evilcloudfront.net',
  'nots3.amazonaws.com',
  'quay.io',
  '',
])('%j is not', (host) => {
  expect(contentNetworkOf(host)).toBeUndefined();
});

it('takes little time for any host', () => {
  fc.assert(
    fc.property(fc.nat(20_000), fc.constantFrom('s3.', 'a.', '-', 's3-'), (times, part) => {
      const started = performance.now();
      contentNetworkOf(part.repeat(times));
      expect(performance.now() - started).toBeLessThan(100);
    }),
    { numRuns: 20 },
  );
});
