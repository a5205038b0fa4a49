'use strict'

const { Load } = require('./load.js')
const { PostgresServer } = require('./postgres.js')

/** What a test file about faults under load needs: PostgreSQL, and a group of servers for each test. */
class LoadedGroup {
  #Group
  #Servers
  #postgres

  constructor(Group, Servers) {
    this.#Group = Group
    this.#Servers = Servers
  }

  /**
   * To be called where a test file begins.
   *
   * @param {{ start(): Promise<any> }} Group such as `SentinelGroup`
   * @param {new (group: any) => any} Servers what the load knows of the group, such as `OneMaster`
   */
  static use(Group, Servers) {
    const loaded = new LoadedGroup(Group, Servers)
    beforeAll(async () => {
      loaded.#postgres = await PostgresServer.start()
    })
    afterAll(() => loaded.#postgres?.stop())
    beforeEach(async () => {
      loaded.group = await loaded.#Group.start()
    }, 30_000)
    afterEach(() => loaded.group?.stop())
    return loaded
  }

  /** Runs the load of this name while `fault` happens, which is passed what `Load.run` passes, and the servers. */
  run(name, setting, fault) {
    const servers = new this.#Servers(this.group)
    const happens = (hasGoneOn) => fault(hasGoneOn, servers)
    return Load.run(name, { servers, postgres: this.#postgres, ...setting }, happens)
  }
}

module.exports = { LoadedGroup }
