// SPDX-License-Identifier: Apache-2.0
// What the examples share: the connection, and WatchJob that goes on where it was.
'use strict';
const fs = require('fs');
const path = require('path');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const api = path.join(__dirname, '..', '..', 'api');
const definition = loader.loadSync('orch/v1/job_service.proto', {includeDirs: [api], keepCase: true, enums: String, longs: Number});
const PATIENCE_MS = 60000;

exports.connect = (address, ca, cert, key) => {
  const credentials = grpc.credentials.createSsl(fs.readFileSync(ca), fs.readFileSync(key), fs.readFileSync(cert));
  return new (grpc.loadPackageDefinition(definition).orch.v1.JobService)(address, credentials, {'grpc.keepalive_time_ms': 30000});
};

// A unary call as a promise.
exports.call = (jobs, method, request) => new Promise((resolve, reject) => {
  jobs[method](request, {deadline: Date.now() + 60000}, (error, answer) => (error ? reject(error) : resolve(answer)));
});

// The ended job. `onEvent` hears each event once, however often the connection is lost.
exports.follow = async (jobs, name, onEvent) => {
  let after = 0;
  let lostSince = null;
  for (;;) {
    try {
      for await (const batch of jobs.WatchJob({name, after_sequence: after})) {
        lostSince = null;
        for (const event of batch.events || []) {
          after = event.sequence;
          onEvent(event);
          if (event.finished) return event.finished;
        }
      }
    } catch (error) {
      if (error.code !== grpc.status.UNAVAILABLE && error.code !== grpc.status.RESOURCE_EXHAUSTED) throw error;
      lostSince = lostSince || Date.now();
      if (Date.now() - lostSince > PATIENCE_MS) throw error;
      console.error(`lost (${error.details}), going on after event ${after}`);
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }
};

exports.run = (main) => main().then((code) => process.exit(code), (error) => {
  console.error(`${grpc.status[error.code]}: ${error.details || error}`);
  process.exit(error.code === grpc.status.UNAVAILABLE ? 4 : 64);
});
