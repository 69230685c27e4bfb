/** Numbers from 0 to below 1 that follow from a seed of 32 bits (xorshift). */
export function seededRandom(seed: number): () => number {
  // Zero would stay zero.
  let state = seed === 0 ? 0x9e3779b9 : seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}
