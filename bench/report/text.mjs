export const report = (o) => JSON.stringify(o.goals.map(g=>[g.what,g.to,g.ratio?.median]),null,0)
