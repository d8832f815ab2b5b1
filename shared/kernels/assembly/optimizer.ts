/**
 * Optimizer steps on float32 vectors, AssemblyScript. Pointers are byte offsets into the one memory that the host handed
 * in; the host has checked that ranges lie inside it and that `count` is a multiple of 4. Every lane does what the twin in
 * ../optimizer-js.ts does, operation by operation, so both give the same bits.
 */

/** Adam and AdamW; what the numbers mean: AdamNumbers in ../optimizer-js.ts. */
export function adam(
  p: usize,
  g: usize,
  m: usize,
  v: usize,
  count: usize,
  scale: f32,
  l2: f32,
  decay: f32,
  fresh1: f32,
  beta2: f32,
  fresh2: f32,
  size: f32,
  root: f32,
  eps: f32,
): void {
  const scales = f32x4.splat(scale);
  const l2s = f32x4.splat(l2);
  const decays = f32x4.splat(decay);
  const fresh1s = f32x4.splat(fresh1);
  const beta2s = f32x4.splat(beta2);
  const fresh2s = f32x4.splat(fresh2);
  const sizes = f32x4.splat(size);
  const roots = f32x4.splat(root);
  const epss = f32x4.splat(eps);
  const bytes = count << 2;
  for (let i: usize = 0; i < bytes; i += 16) {
    const x = v128.load(p + i);
    const d = f32x4.add(f32x4.mul(v128.load(g + i), scales), f32x4.mul(l2s, x));
    const before = v128.load(m + i);
    const first = f32x4.add(before, f32x4.mul(fresh1s, f32x4.sub(d, before)));
    const second = f32x4.add(f32x4.mul(beta2s, v128.load(v + i)), f32x4.mul(f32x4.mul(fresh2s, d), d));
    v128.store(m + i, first);
    v128.store(v + i, second);
    const divisor = f32x4.add(f32x4.mul(f32x4.sqrt(second), roots), epss);
    const moved = f32x4.add(f32x4.mul(decays, x), f32x4.div(f32x4.mul(sizes, first), divisor));
    v128.store(p + i, f32x4.sub(x, moved));
  }
}

/** SGD with momentum; what the numbers mean: SgdNumbers in ../optimizer-js.ts. */
export function momentum(
  p: usize,
  g: usize,
  m: usize,
  count: usize,
  scale: f32,
  l2: f32,
  rate: f32,
  kept: f32,
  ahead: f32,
  direct: f32,
): void {
  const scales = f32x4.splat(scale);
  const l2s = f32x4.splat(l2);
  const rates = f32x4.splat(rate);
  const kepts = f32x4.splat(kept);
  const aheads = f32x4.splat(ahead);
  const directs = f32x4.splat(direct);
  const bytes = count << 2;
  for (let i: usize = 0; i < bytes; i += 16) {
    const x = v128.load(p + i);
    const d = f32x4.add(f32x4.mul(v128.load(g + i), scales), f32x4.mul(l2s, x));
    const buffer = f32x4.add(f32x4.mul(kepts, v128.load(m + i)), d);
    v128.store(m + i, buffer);
    const step = f32x4.add(f32x4.mul(directs, d), f32x4.mul(aheads, buffer));
    v128.store(p + i, f32x4.sub(x, f32x4.mul(rates, step)));
  }
}
