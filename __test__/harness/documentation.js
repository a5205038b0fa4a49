'use strict'

const fs = require('node:fs')
const path = require('node:path')

const root = path.join(__dirname, '..', '..')

/** The pages that readers get, relative to the project's root. */
function pages() {
  const docs = fs.readdirSync(path.join(root, 'docs')).filter((name) => name.endsWith('.md'))
  return ['README.md', ...docs.map((name) => `docs/${name}`)]
}

/** The files of types that services get, relative to the project's root. */
function typeFiles() {
  const rooms = ['config', 'errors', 'state', 'testing', 'types'].flatMap((room) => {
    const names = fs.readdirSync(path.join(root, room)).filter((name) => name.endsWith('.d.ts'))
    return names.map((name) => `${room}/${name}`)
  })
  return ['index.d.ts', ...rooms]
}

function textOf(page) {
  return fs.readFileSync(path.join(root, page), 'utf8')
}

/**
 * The fenced blocks of a page that name their language.
 *
 * @returns {{ page: string, line: number, language: string, text: string }[]} `line` is that of the
 *   text's first
 */
function blocksOf(page) {
  const text = textOf(page)
  return [...text.matchAll(/^( *)```(\w+).*\n([\s\S]*?)^\1```$/gm)].map((match) => {
    const [, indent, language, body] = match
    const line = text.slice(0, match.index).split('\n').length + 1
    return { page, line, language, text: body.replaceAll(new RegExp(`^${indent}`, 'gm'), '') }
  })
}

/**
 * The `@example`s in the comments of a file of types, as blocks of TypeScript.
 *
 * @returns {{ page: string, line: number, language: string, text: string }[]}
 */
function examplesOf(page) {
  const lines = textOf(page).split('\n')
  const blocks = []
  let block
  for (const [index, line] of lines.entries()) {
    const [, begun] = line.match(/^ *\* @example ?(.*)$/) ?? []
    const [, more] = line.match(/^ *\*(?!\/| ?@) ?(.*)$/) ?? []
    if (begun !== undefined) {
      block = { page, line: index + (begun ? 1 : 2), language: 'ts', text: begun && `${begun}\n` }
      blocks.push(block)
    } else if (more !== undefined && block) block.text += `${more}\n`
    else block = undefined
  }
  return blocks
}

/**
 * The public names in a file of types, with the members of classes and interfaces, each with a pattern
 * of the code that uses it.
 *
 * @returns {{ name: string, use: RegExp }[]}
 */
function publicNames(page) {
  const names = []
  const add = (name, use) => {
    if (!names.some((one) => one.name === name)) names.push({ name, use: new RegExp(use) })
  }
  for (const name of reexportsOf(page)) add(name, `\\b${name}\\b`)
  let within = ''
  let isClass = false
  for (const line of textOf(page).split('\n')) {
    const [, kind, top] =
      line.match(/^export (?:declare )?(class|function|enum|interface|type) (\w+)/) ?? []
    if (top) {
      isClass = kind === 'class'
      within = isClass || kind === 'interface' ? top : ''
      // Options and events are used by their members' names.
      if (!/(Options|Events)$/.test(top)) add(top, `\\b${top}\\b`)
    }
    if (!within || top) continue
    const [, method] = line.match(/^ {2}(\w+)(?:<.*>)?\??\(/) ?? []
    const [, property] = line.match(/^ {2}(?:readonly )?(\w+)\??:/) ?? []
    if (line.includes('[Symbol.asyncDispose]')) add(`${within}[Symbol.asyncDispose]`, 'await using')
    if (method && method !== 'constructor') {
      add(`${within}.${method}`, isClass ? `\\.${method}[(<]` : `\\b${method}\\b`)
    }
    if (!property) continue
    if (isClass) add(`${within}.${property}`, `\\.${property}\\b`)
    else if (within.endsWith('Events'))
      add(`${within}.${property}`, `(on|once)\\([^)]*'${property}'`)
    else add(`${within}.${property}`, `\\b${property}\\b`)
  }
  return names
}

/** The names that a file of types passes on from others. */
function reexportsOf(page) {
  const lists = [...textOf(page).matchAll(/^export type \{([^}]*)\} from/gm)]
  return lists.flatMap(([, list]) => list.match(/\w+/g) ?? [])
}

/** The commands in a block of `sh`, without its comments. */
function commandsOf({ text }) {
  const lines = text.replaceAll('\\\n', ' ').split('\n')
  return lines.map((line) => line.trim()).filter((line) => line !== '' && !line.startsWith('#'))
}

/** The table under a heading: a list of cells for each row. */
function tableUnder(page, heading) {
  const [, section = ''] = textOf(page).split(`\n${heading}\n`)
  const [, body = ''] = section.split(/^\| *-.*\n/m)
  const lines = body.split('\n\n')[0].trim().split('\n')
  return lines.map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  )
}

module.exports = {
  blocksOf,
  commandsOf,
  examplesOf,
  pages,
  publicNames,
  tableUnder,
  textOf,
  typeFiles,
}
