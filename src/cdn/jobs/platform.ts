/** Platforms of images: `os/architecture[/variant]`. OCI image-spec, image-index.md. */

export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
}

const PART = '[a-z0-9][a-z0-9._-]{0,63}';

/** The form in which platforms are asked for. */
export const PLATFORM = new RegExp(`^${PART}/${PART}(?:/${PART})?$`);

/** The platform that the text is; undefined for what is none. */
export function parsePlatform(text: string): Platform | undefined {
  if (!PLATFORM.test(text)) return undefined;
  const [os = '', architecture = '', variant] = text.split('/');
  return { os, architecture, variant };
}

export function formatPlatform({ os, architecture, variant }: Platform): string {
  return [os, architecture, ...(variant ? [variant] : [])].join('/');
}

/** True when an image of that platform is meant. Without a variant all of them are; `arm64` alone is its `v8`. */
export function isMeant(wanted: Platform, offered: Platform): boolean {
  return (
    wanted.os === offered.os &&
    wanted.architecture === offered.architecture &&
    (wanted.variant === undefined || wanted.variant === variantOf(offered))
  );
}

function variantOf({ architecture, variant }: Platform): string | undefined {
  return variant || (architecture === 'arm64' ? 'v8' : undefined);
}
