/** The database of the application. */

import fp from "fastify-plugin";
import { Database } from "../database.ts";
import type { Settings } from "../settings.ts";

declare module "fastify" {
  interface FastifyInstance {
    database: Database;
  }
}

export const database = fp<{ settings: Settings }>((app, { settings }, done) => {
  app.decorate("database", new Database(settings, app.log));
  app.addHook("onClose", () => app.database.close());
  done();
});
