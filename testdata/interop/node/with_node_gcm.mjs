// An app server on node-gcm, over HTTP: a message, a multicast, a topic, a wrong key, and a message that the server
// cannot take at first.
import { parseArgs } from 'node:util'
import { createRequire } from 'node:module'
import gcm from 'node-gcm'

const { values: o } = parseArgs({ options: Object.fromEntries(['url', 'ca', 'key', 'token'].map((name) => [name, { type: 'string' }])) })
const version = createRequire(import.meta.url)('node-gcm/package.json').version

function sender(key) {
  return new gcm.Sender(key, { uri: o.url + '/fcm/send' })
}

function send(key, id, recipient, retries) {
  return new Promise((done) => {
    const message = new gcm.Message({ priority: 'high', timeToLive: 3600, data: { id } })
    sender(key).send(message, recipient, { retries, backoff: 50 }, (err, response) => done(err ? { failed: err } : response))
  })
}

const single = await send(o.key, 'single', o.token, 0)
const multicast = await send(o.key, 'multicast', { registrationTokens: [...Array(999).fill(o.token), 'nobody'] }, 0)
const topic = await send(o.key, 'topic', { topic: '/topics/news' }, 0)
const refused = await send('wrong', 'refused', o.token, 3)
const retried = await send(o.key, 'fail-once', o.token, 3)

console.log(JSON.stringify({
  client: 'node-gcm', version,
  single: single.success, multicast: multicast.success, bogus: multicast.results?.[999]?.error,
  topic: Number.isInteger(topic.message_id), unauthorized: refused.failed === 401, retried: retried.success,
}))
