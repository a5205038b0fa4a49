'use strict'

const fs = require('node:fs')
const path = require('node:path')

const root = path.join(__dirname, '..', '..')

/** The pages that readers get, relative to the project's root. */
function pages() {
  const docs = fs.readdirSync(path.join(root, 'docs')).filter((name) => name.endsWith('.md'))
  return ['README.md', ...docs.map((name) => `docs/${name}`)]
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

module.exports = { blocksOf, commandsOf, pages, tableUnder, textOf }
