import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  resolve: { alias: { '@': fileURLToPath(new URL('src', import.meta.url)) } },
  // For a server: what is in node_modules stays there, the native module with it.
  build: { ssr: 'src/main.ts', target: 'node20', sourcemap: true },
  test: { globals: true, include: ['test/**/*.test.ts'] },
})
