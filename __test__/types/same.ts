type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false

/** Compiles with `true` where both are one type, and with `false` where they are not. */
export const same = <A, B>(equal: Equal<A, B>) => equal
