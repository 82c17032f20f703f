// SPDX-License-Identifier: Apache-2.0
// Runs Puppet on 10 % of the nodes, waits, and only if all succeeded on the others.
// usage: node canary.js SERVER CA CERT KEY FACT=VALUE...
'use strict';
const crypto = require('crypto');
const {call, connect, follow, run} = require('./client.js');

// The nodes that were asked, if each of them succeeded; else null.
const runAndGate = async (jobs, spec) => {
  const asked = new Set();
  const {job: {name}} = await call(jobs, 'CreateJob', {spec, idempotency_key: crypto.randomUUID()});
  const job = await follow(jobs, name, (event) => {
    for (const node of (event.started && event.started.nodes) || []) asked.add(node);
  });
  console.log(`${job.name} ${job.state} on ${job.targets} nodes`);
  return job.state === 'JOB_STATE_SUCCEEDED' ? asked : null;
};

run(async () => {
  const [server, ca, cert, key, ...facts] = process.argv.slice(2);
  const jobs = connect(server, ca, cert, key);
  const spec = {target: {facts}, action: {puppet_run: {}}, reason: 'canary'};
  const everybody = (await call(jobs, 'CreateJob', {spec, validate_only: true})).nodes || [];
  const done = await runAndGate(jobs, {...spec, rollout: {limit: {percent: 10}}});
  if (done === null) return 2;
  const others = everybody.filter((node) => !done.has(node));
  if (others.length === 0) return 0;
  return (await runAndGate(jobs, {...spec, nodes: others, expect_nodes: others.length})) === null ? 2 : 0;
});
