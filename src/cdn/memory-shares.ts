/** How CACHE_MEMORY is parted, in bytes: layers must not push out the manifests by which they are found. */
export function shareOf(memory: number): { readonly manifests: number; readonly blobs: number } {
  const blobs = Math.floor(memory / 2);
  return { manifests: memory - blobs, blobs };
}
