'use strict'

/**
 * A value that two states have differently. A value that a state does not have is undefined.
 *
 * @typedef {{ path: string, from: unknown, to: unknown }} StateChange
 */

/** What makes a path of a name that is no identifier. */
const IDENTIFIER = /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u

/**
 * The paths whose values differ between two states, as `JSON.parse` made them: in the order of the newer
 * state, then what only the older one has. Elements of arrays are compared by index. Two containers are
 * compared by what is in them; a container and anything else, or nothing, differ as a whole.
 *
 * @param {object} from the older state
 * @param {object} to the newer state
 * @returns {StateChange[]}
 */
function changesBetween(from, to) {
  /** @type {StateChange[]} */
  const changes = []
  // A stack of its own, as a state may be nested deeper than calls can be.
  /** @type {[string, any, any][]} */
  const pairs = [['', from, to]]
  for (let pair = pairs.pop(); pair !== undefined; pair = pairs.pop()) {
    const [path, before, after] = pair
    if (areAlike(before, after)) {
      // The last pair is compared first.
      for (const key of keysOf(before, after).reverse()) {
        pairs.push([below(path, key, after), member(before, key), member(after, key)])
      }
    } else if (before !== after) {
      changes.push({ path, from: before, to: after })
    }
  }
  return changes
}

/** Whether both are arrays, or both are other objects. @param {any} one @param {any} other */
function areAlike(one, other) {
  const areContainers = isContainer(one) && isContainer(other)
  return areContainers && Array.isArray(one) === Array.isArray(other)
}

/** @param {unknown} value */
function isContainer(value) {
  return typeof value === 'object' && value !== null
}

/** @param {object} before @param {object} after */
function keysOf(before, after) {
  const added = Object.keys(after)
  const removed = Object.keys(before).filter((key) => !Object.hasOwn(after, key))
  return [...added, ...removed]
}

/** @param {any} container @param {string} key */
function member(container, key) {
  return Object.hasOwn(container, key) ? container[key] : undefined
}

/** @param {string} path @param {string} key @param {object} container */
function below(path, key, container) {
  if (Array.isArray(container)) return `${path}[${key}]`
  if (!IDENTIFIER.test(key)) return `${path}[${JSON.stringify(key)}]`
  return path === '' ? key : `${path}.${key}`
}

module.exports = { changesBetween }
