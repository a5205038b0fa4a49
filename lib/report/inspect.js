'use strict'

/**
 * What Node passes: how deep it may still go, its options, and itself.
 *
 * @typedef {[
 *   number,
 *   import('node:util').InspectOptions & { stylize(text: string, style: string): string },
 *   typeof import('node:util').inspect,
 * ]} Inspection
 */

/**
 * What `console.log` shows of an instance: its class and these fields, which hold no secret, and
 * nothing else that it refers to.
 *
 * @param {object} instance
 * @param {Record<string, string | number | boolean>} fields
 * @param {Inspection} inspection
 */
function shown(instance, fields, [depth, options, inspect]) {
  const { name } = instance.constructor
  if (depth < 0) return options.stylize(`[${name}]`, 'special')
  return `${name} ${inspect(fields, options)}`
}

module.exports = { shown }
