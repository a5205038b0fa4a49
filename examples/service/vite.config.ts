import { defineConfig } from 'vitest/config'

/** For the build and for Vitest: where the `@/` imports of the state store lead. */
const stateStore = {
  find: /^@\/(state\/RedisStateManager|state\/DBWriteQueue|errors\/StateErrors|config\/redis|types\/session)$/,
  replacement: 'synckairos-state/$1',
}

export default defineConfig({
  resolve: { alias: [stateStore] },
  // For a server: what is in node_modules stays there, the native module with it.
  build: { ssr: 'src/main.ts', target: 'node20', sourcemap: true },
  test: { globals: true, include: ['test/**/*.test.ts'] },
})
