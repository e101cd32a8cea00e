/**
 * Where registries are known to keep their content. A hint for whoever reads the log, and never a rule: such hosts change
 * without notice, and where a redirect may lead is EgressPolicy's to say.
 */

/** RFC 1035 § 2.3.4. What is longer is no host, and would only cost time. */
const LONGEST_NAME = 253;

/** Host names without port, in lower case, and what is said of them. The first that fits counts. */
const KNOWN: readonly (readonly [RegExp, string])[] = [
  [/^production\.cloudflare\.docker\.com$/, 'docker hub, cloudflare'],
  [/^production\.cloudfront\.docker\.com$/, 'docker hub, cloudfront'],
  [/^docker-images-prod\..+\.r2\.cloudflarestorage\.com$/, 'docker hub, r2'],
  [/^pkg-containers\.githubusercontent\.com$/, 'github packages'],
  [/^cdn(?:\d+)?\.quay\.io$/, 'quay'],
  [/^cdn\.registry\.gitlab-static\.net$/, 'gitlab'],
  [/^(?:.+\.)?data\.mcr\.microsoft\.com$/, 'microsoft artifact registry'],
  [/^(?:.+\.)?pkg\.dev$/, 'google artifact registry'],
  [/^(?:.+\.)?storage\.googleapis\.com$/, 'google cloud storage'],
  [/^.+\.blob\.core\.windows\.net$/, 'azure blob storage'],
  [/^(?:.+\.)?s3[.-](?:.+\.)?amazonaws\.com(?:\.cn)?$/, 's3'],
  [/^.+\.cloudfront\.net$/, 'cloudfront'],
  [/^.+\.r2\.cloudflarestorage\.com$/, 'r2'],
  [/^.+\.digitaloceanspaces\.com$/, 'digitalocean spaces'],
];

/**
 * The network that a host of content is known to belong to.
 * @param host with or without port, in any case.
 */
export function contentNetworkOf(host: string): string | undefined {
  const name = host.toLowerCase().replace(/:\d+$/, '');
  if (name.length > LONGEST_NAME) return undefined;
  return KNOWN.find(([pattern]) => pattern.test(name))?.[1];
}
