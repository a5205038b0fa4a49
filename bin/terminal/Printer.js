'use strict'

const { plain } = require('./paper.js')

/** Writes results as text or as JSON to the output, and errors and notes to the other stream. */
class Printer {
  #out
  #notes
  #json

  /**
   * @param {NodeJS.WritableStream} out
   * @param {NodeJS.WritableStream} notes
   * @param {boolean} json
   */
  constructor(out, notes, json) {
    this.#out = out
    this.#notes = notes
    this.#json = json
  }

  /** @param {string} text */
  text(text) {
    this.#out.write(`${text}\n`)
  }

  /** The one result of a command. @param {import('../command.js').Result} result */
  result({ json, lines }) {
    this.text(this.#json ? JSON.stringify(json, null, 2) : lines.join('\n'))
  }

  /** One of many. @param {unknown} json @param {string} line */
  event(json, line) {
    this.text(this.#json ? JSON.stringify(json) : line)
  }

  /** What is not a part of the result. @param {string} text */
  note(text) {
    this.#notes.write(`${plain(text)}\n`)
  }

  /** @param {Error & { code?: string | null }} error */
  error({ message, code = null }) {
    if (this.#json) this.text(JSON.stringify({ error: { code, message } }, null, 2))
    else this.note(`synckairos-state: ${message}`)
  }
}

module.exports = { Printer }
