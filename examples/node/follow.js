// SPDX-License-Identifier: Apache-2.0
// usage: node follow.js SERVER CA CERT KEY jobs/ULID
'use strict';
const {connect, follow, run} = require('./client.js');

run(async () => {
  const [server, ca, cert, key, name] = process.argv.slice(2);
  const job = await follow(connect(server, ca, cert, key), name, (event) => {
    if (event.node && event.node.update_time) console.log(`${event.sequence} ${event.node.node} ${event.node.state}`);
  });
  console.log(`${job.name} ${job.state}`);
  return job.state === 'JOB_STATE_SUCCEEDED' ? 0 : 2;
});
