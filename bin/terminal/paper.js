'use strict'

// What output looks like: colours and aligned columns on a terminal, and values between tabs elsewhere,
// for programs such as `cut` and `awk`.

const STYLES = Object.freeze({ bold: 1, dim: 2, red: 31, green: 32, yellow: 33 })

// biome-ignore lint/suspicious/noControlCharactersInRegex: what colours are made of
const COLOUR = /(\x1b\[\d{1,2}m)/g

class Paper {
  /** @param {{ isTerminal: boolean, hasColour: boolean }} how */
  constructor({ isTerminal, hasColour }) {
    this.isTerminal = isTerminal
    this.hasColour = hasColour
  }

  /**
   * @param {NodeJS.WritableStream} stream
   * @param {NodeJS.ProcessEnv} env
   */
  static of(stream, env) {
    const isTerminal = 'isTTY' in stream && stream.isTTY === true
    return new this({ isTerminal, hasColour: isTerminal && !env.NO_COLOR && env.TERM !== 'dumb' })
  }

  /** @param {string} text */
  bold(text) {
    return this.#styled('bold', text)
  }

  /** @param {string} text */
  dim(text) {
    return this.#styled('dim', text)
  }

  /** @param {string} text */
  good(text) {
    return this.#styled('green', text)
  }

  /** @param {string} text */
  warning(text) {
    return this.#styled('yellow', text)
  }

  /** @param {string} text */
  bad(text) {
    return this.#styled('red', text)
  }

  /** Values in one line. @param {unknown[]} values */
  row(values) {
    return values.map((value) => this.#cell(value)).join(this.isTerminal ? '  ' : '\t')
  }

  /**
   * Something with more to say of it: in lines of their own on a terminal, in one line elsewhere.
   *
   * @param {string} title
   * @param {string[]} texts
   */
  entry(title, texts) {
    if (!this.isTerminal) return [this.row([title, ...texts])]
    const lines = aligned(texts.map((text, at) => [at === 0 ? title : '', this.#cell(text)]))
    return ['', ...lines.map((line) => line.join('  ').trimEnd())]
  }

  /** One line; of control characters only colours stay. @param {unknown} value */
  #cell(value) {
    if (value === null || value === undefined) return '-'
    if (value instanceof Date) return value.toISOString()
    const text = String(value)
    if (!this.hasColour) return plain(text)
    return text
      .split(COLOUR)
      .map((part, at) => (at % 2 ? part : plain(part)))
      .join('')
  }

  /** @param {keyof typeof STYLES} style @param {string} text */
  #styled(style, text) {
    return this.hasColour && text !== '' ? `\x1b[${STYLES[style]}m${text}\x1b[0m` : text
  }

  /**
   * A table with a heading.
   *
   * @param {string[]} columns
   * @param {unknown[][]} rows
   * @returns {string[]} its lines
   */
  table(columns, rows) {
    const texts = [columns, ...rows].map((row) => row.map((value) => this.#cell(value)))
    if (!this.isTerminal) return texts.map((row) => row.join('\t'))
    const [heading = [], ...body] = aligned(texts)
    return [this.bold(heading.join('  ').trimEnd()), ...body.map((row) => row.join('  ').trimEnd())]
  }

  /**
   * Names and values, a line each.
   *
   * @param {[string, unknown][]} pairs
   */
  pairs(pairs) {
    const texts = pairs.map((pair) => pair.map((value) => this.#cell(value)))
    if (!this.isTerminal) return texts.map((pair) => pair.join('\t'))
    return aligned(texts).map(([name = '', value = '']) => `${this.dim(name)}  ${value}`.trimEnd())
  }
}

/** All columns but the last as wide as their widest cell. @param {string[][]} rows */
function aligned(rows) {
  const widths = rows[0]?.map((_, at) => Math.max(...rows.map((row) => width(row[at] ?? '')))) ?? []
  return rows.map((row) =>
    row.map((text, at) => text + ' '.repeat(Math.max(0, (widths[at] ?? 0) - width(text)))),
  )
}

/** @param {string} text */
function width(text) {
  return text.replaceAll(COLOUR, '').length
}

/**
 * Text of others without the characters that steer a terminal.
 *
 * @param {string} text
 */
function plain(text) {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: exactly these are to be replaced
  return text.replaceAll(/[\x00-\x1f\x7f-\x9f]/g, '\uFFFD')
}

/** @param {number | null | undefined} ms */
function duration(ms) {
  if (ms === null || ms === undefined) return '-'
  if (ms < 10) return `${ms.toFixed(1)} ms`
  if (ms < 1000) return `${Math.round(ms)} ms`
  if (ms < 120_000) return `${(ms / 1000).toFixed(1)} s`
  if (ms < 7_200_000) return `${Math.round(ms / 60_000)} min`
  if (ms < 172_800_000) return `${(ms / 3_600_000).toFixed(1)} h`
  return `${Math.round(ms / 86_400_000)} days`
}

/** @param {number | null | undefined} bytes */
function size(bytes) {
  if (bytes === null || bytes === undefined) return '-'
  if (bytes < 1024) return `${bytes} B`
  if (bytes < 1024 ** 2) return `${(bytes / 1024).toFixed(1)} KiB`
  if (bytes < 1024 ** 3) return `${(bytes / 1024 ** 2).toFixed(1)} MiB`
  return `${(bytes / 1024 ** 3).toFixed(1)} GiB`
}

/** @param {number} number @param {string} noun */
function counted(number, noun) {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}

module.exports = { Paper, counted, duration, plain, size }
