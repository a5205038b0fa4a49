import path from 'node:path'

/** `require('./a.js')`, `import('./a.js')`, `from './a.js'`. */
const IMPORT = /\b(?:(?:require|import)\(|from)\s*['"](\.[^'"]*)['"]/g

/**
 * Which file imports which. Types that JSDoc imports do not count: they are gone at run time. Files of
 * types (`a.d.ts`) name each other as JavaScript (`./a.js`).
 *
 * @param {Map<string, string>} files texts by path
 */
export function javascriptImports(files) {
  return new Map(
    [...files].map(([file, text]) => {
      const targets = new Set()
      for (const [, specifier] of withoutComments(text).matchAll(IMPORT)) {
        const target = path.posix.join(path.posix.dirname(file), specifier)
        const found = [
          target,
          `${target}.js`,
          `${target}/index.js`,
          target.replace(/\.js$/, '.d.ts'),
        ].find((name) => files.has(name))
        if (found && found !== file) targets.add(found)
      }
      return [file, targets]
    }),
  )
}

/** A comment begins a line or follows a space: `//` in a URL and `/*` in a pattern do not. */
function withoutComments(text) {
  return text.replace(/(^|\s)\/\*[\s\S]*?\*\//g, '$1').replace(/(^|\s)\/\/.*/g, '$1')
}
