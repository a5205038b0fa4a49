/**
 * Which file of a crate imports which: by `use`, or by a path in the code (`crate::a::f()`).
 *
 * `mod a;` is no import. A name that a `mod.rs` re-exports counts as an import of the file that
 * it comes from. Tests (`#[cfg(test)]`) do not count.
 *
 * @param {Map<string, string>} files texts by path, all below `src/`
 */
export function rustImports(files) {
  const modules = readModules(files)
  const byPath = new Map(modules.map((module) => [key(module.path), module]))
  for (const module of modules) readNames(module, byPath)
  return new Map(
    modules.map((module) => {
      const targets = new Set(module.paths.flatMap((path) => filesBehind(path, byPath)))
      targets.delete(module.file)
      return [module.file, targets]
    }),
  )
}

function readModules(files) {
  const tests = new Set()
  const modules = [...files].map(([file, source]) => {
    const path = file.replace(/^src\/|\.rs$/g, '').split('/')
    if (['lib', 'main', 'mod'].includes(path.at(-1))) path.pop()
    const { code, testFiles } = withoutTests(withoutLiterals(source))
    for (const name of testFiles) tests.add(key([...path, name]))
    return { file, path, code, isParent: /(^|\/)(lib|main|mod)\.rs$/.test(file) }
  })
  const isTest = ({ path }) => path.some((_, end) => tests.has(key(path.slice(0, end + 1))))
  return modules.filter((module) => !isTest(module))
}

/** Notes the module's re-exports, and all paths from the crate's root that it uses. */
function readNames(module, byPath) {
  const { code } = module
  const scopes = inlineModules(code, module.path)
  const scopeAt = (index) =>
    scopes.findLast(({ start, end }) => start < index && index < end)?.path ?? module.path
  module.reexports = new Map()
  module.paths = []
  const aliases = new Map()

  const withoutUses = code.replace(
    /\b(pub(?:\([^)]*\))?\s+)?use\s+([^;]+);/g,
    (statement, isPublic, tree, index) => {
      for (const { path, name } of expand(tree.replace(/\s+/g, ' ').trim())) {
        const absolute = fromRoot(path, scopeAt(index), byPath)
        if (!absolute) continue
        if (isPublic && name !== '*') module.reexports.set(name, absolute)
        if (byPath.has(key(absolute)) && name !== '*') aliases.set(name, absolute)
        module.paths.push(absolute)
      }
      return ' '.repeat(statement.length)
    },
  )

  for (const { 0: text, index } of withoutUses.matchAll(/(?<!\w|::\s*)\w+(?:\s*::\s*\w+)+/g)) {
    const [first, ...rest] = text.split('::').map((segment) => segment.trim())
    const alias = aliases.get(first)
    const path = alias ? [...alias, ...rest] : fromRoot([first, ...rest], scopeAt(index), byPath)
    if (path) module.paths.push(path)
  }
}

/** The path from the crate's root; `undefined` for a name of another crate. */
function fromRoot(path, scope, byPath) {
  const [first, ...rest] = path
  if (first === 'crate') return rest
  if (first === 'self') return fromSelf(rest, scope)
  if (first === 'super') return fromSelf(path, scope)
  return byPath.has(key([...scope, first])) ? [...scope, ...path] : undefined
}

function fromSelf(path, scope) {
  const up = path.findIndex((segment) => segment !== 'super')
  const levels = up < 0 ? path.length : up
  return [...scope.slice(0, scope.length - levels), ...path.slice(levels)]
}

/** The files that a path leads to; none for a directory's module, which is only on the way. */
function filesBehind(path, byPath, seen = new Set()) {
  let depth = path.length
  while (depth > 0 && !byPath.has(key(path.slice(0, depth)))) depth--
  const module = byPath.get(key(path.slice(0, depth)))
  if (!module || seen.has(module)) return []
  if (!module.isParent) return [module.file]
  const [name, ...rest] = path.slice(depth)
  if (name === undefined) return []
  const origin = module.reexports.get(name)
  if (origin) return filesBehind([...origin, ...rest], byPath, new Set([...seen, module]))
  return [module.file]
}

/** `a::{b, c::{self, D as E}}` as single paths, each with the name that it gets. */
function expand(tree, prefix = []) {
  const open = tree.indexOf('{')
  if (open < 0) {
    const [path, name] = tree.split(/ as /)
    const segments = [...prefix, ...split(path)]
    if (segments.at(-1) === 'self' && segments.length > 1) segments.pop()
    return [{ path: segments, name: name?.trim() ?? segments.at(-1) }]
  }
  const head = [...prefix, ...split(tree.slice(0, open))]
  return branches(tree.slice(open + 1, tree.lastIndexOf('}'))).flatMap((branch) =>
    expand(branch, head),
  )
}

function split(path) {
  return path
    .split('::')
    .map((segment) => segment.trim())
    .filter((segment) => segment !== '')
}

/** Splits at the commas that are in no braces. */
function branches(text) {
  const parts = ['']
  let depth = 0
  for (const character of text) {
    if (character === '{') depth++
    if (character === '}') depth--
    if (character === ',' && depth === 0) parts.push('')
    else parts[parts.length - 1] += character
  }
  return parts.map((part) => part.trim()).filter((part) => part !== '')
}

/** The modules that are written out in a file, the outer before the inner. */
function inlineModules(code, path) {
  const scopes = []
  for (const { 0: head, 1: name, index } of code.matchAll(/\bmod\s+(\w+)\s*\{/g)) {
    const start = index + head.length - 1
    const outer = scopes.findLast((scope) => scope.start < start && start < scope.end)
    scopes.push({ path: [...(outer?.path ?? path), name], start, end: endOfItem(code, start) })
  }
  return scopes
}

/** Without comments, strings and characters: each may hold what looks like code. */
function withoutLiterals(source) {
  return source.replace(
    /\/\/.*|\/\*[\s\S]*?\*\/|\b[bc]?r(#*)"[\s\S]*?"\1|"(?:\\[\s\S]|[^"\\])*"|'(?:\\(?:u\{[^}]*\}|x..|.)|[^\\'\n])'/g,
    ' ',
  )
}

/** Cuts out what `#[cfg(test)]` stands before; `testFiles`: modules of tests in other files. */
function withoutTests(code) {
  const testFiles = []
  const attribute = /#(!?)\[\s*cfg\s*\(\s*(?:all\s*\(\s*)?test\b[^\]]*\]/
  for (let found = attribute.exec(code); found; found = attribute.exec(code)) {
    if (found[1] === '!') return { code: '', testFiles }
    const end = endOfItem(code, found.index + found[0].length)
    const item = code.slice(found.index + found[0].length, end)
    const file = /^\s*(?:#\[[^\]]*\]\s*)*(?:pub\s+)?mod\s+(\w+)\s*;/.exec(item)
    if (file) testFiles.push(file[1])
    code = code.slice(0, found.index) + code.slice(end)
  }
  return { code, testFiles }
}

/** Where an item ends that begins here: behind its block, or else its semicolon. */
function endOfItem(code, start) {
  let depth = 0
  for (let at = start; at < code.length; at++) {
    if ('{[('.includes(code[at])) depth++
    if ('}])'.includes(code[at])) depth--
    if (depth === 0 && (code[at] === '}' || code[at] === ';')) return at + 1
  }
  return code.length
}

function key(path) {
  return path.join('::')
}
