'use strict'

/** The methods of a manager that are counted and traced, each with its number in the counts. */
const Method = Object.freeze({
  getSession: 0,
  getSessions: 1,
  createSession: 2,
  updateSession: 3,
  modifySession: 4,
  deleteSession: 5,
  touchSession: 6,
  broadcastToSession: 7,
})

module.exports = { Method }
