import { OCI_ERRORS, OciError, type OciErrorCode } from '../oci/oci-error';
import { isNotThere, isOutage } from './outage';

const CODES = Object.keys(OCI_ERRORS) as OciErrorCode[];

it.each([
  [
    'that a registry cannot say',
    isOutage,
    ['TOOMANYREQUESTS', 'BAD_UPSTREAM', 'UNAVAILABLE', 'UPSTREAM_TIMEOUT'],
  ],
  ['that it is not there', isNotThere, ['NAME_UNKNOWN', 'MANIFEST_UNKNOWN']],
] as const)('a refusal means %s by its code', (_what, means, expected) => {
  expect(CODES.filter((code) => means(new OciError(code)))).toEqual(expected);
});

it.each([
  ['an error of the gate’s own', new Error('UNAVAILABLE')],
  ['what only looks like a refusal', { code: 'UNAVAILABLE' }],
  ['another that does', { code: 'MANIFEST_UNKNOWN' }],
  ['nothing', undefined],
])('neither is meant by %s', (_what, error) => {
  expect([isOutage(error), isNotThere(error)]).toEqual([false, false]);
});
