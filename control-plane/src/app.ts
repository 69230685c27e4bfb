import { createServer, type RequestListener, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { Logger } from "@shipfox/shared/logger";
import { VERSION } from "@shipfox/shared/version";
import { z } from "zod";
import { dataPaths, type Config } from "./config.ts";
import { DueLoop } from "./due-loop.ts";
import { EventBus } from "./events/event-bus.ts";
import { AccessLog, type AccessLine } from "./http/access-log.ts";
import { listenWhenThere, type ListenAddress, routesOfMachines } from "./http/also-listen.ts";
import { createAuthenticate } from "./http/authenticate.ts";
import { Certificate, tlsFiles } from "./http/certificate.ts";
import { clientAddress } from "./http/client-address.ts";
import { closeServer } from "./http/close-server.ts";
import type { Services } from "./http/execute.ts";
import { createDocsRoutes } from "./http/docs-routes.ts";
import { createExpressApp } from "./http/express-app.ts";
import { createFrontDoor } from "./http/front-door.ts";
import { AllowedOrigins } from "./http/cors.ts";
import { Idempotency } from "./http/idempotency.ts";
import { RequestCounts } from "./http/request-counts.ts";
import { RateLimits } from "./http/rate-limits.ts";
import { createHomeRoutes } from "./http/home-routes.ts";
import { createHotHandler } from "./http/hot-handler.ts";
import { createOpenApi } from "./http/openapi.ts";
import { OpenReplies } from "./http/open-replies.ts";
import { OpenStreams } from "./http/open-streams.ts";
import { route, type Route } from "./http/route.ts";
import { SignedTokens } from "./http/signed-tokens.ts";
import { endAllStreams } from "./http/sse.ts";
import { asksForWebSocket, createWebSockets } from "./http/websocket.ts";
import { EventCounts } from "./metrics/event-counts.ts";
import { EventLoopDelay } from "./metrics/event-loop-delay.ts";
import { readMetrics } from "./metrics/read-metrics.ts";
import { createAccessTokenRoutes, createAccessTokens, Tickets } from "./modules/access-tokens/public.ts";
import { allowedAddresses, createAccounts, needsSetup, Passwords, setupToken } from "./modules/accounts/public.ts";
import { createAgentRoutes, parseProviderUrls, Prober, sealedProviderSecrets } from "./modules/agents/public.ts";
import { createAnnotationRoutes } from "./modules/annotations/public.ts";
import {
  createArtifactRoutes,
  createMachineFileRoutes,
  dropArtifactsOfRuns,
  FileBlobStore,
  reapBlobs,
  removeBlobsOfWorkspace,
  Uploads,
} from "./modules/artifacts/public.ts";
import { createAuditRoutes, deleteOldAuditEvents, ForbiddenCalls } from "./modules/audit/public.ts";
import {
  createDefinitionRoutes,
  DefinitionReader,
  DefinitionStarter,
  DefinitionSync,
} from "./modules/definitions/public.ts";
import {
  createWaitingPort,
  Dispatch,
  leaseEndedAt,
  Reaper,
  recordLateCalls,
  runDueLeases,
} from "./modules/dispatch/public.ts";
import { createEventChannels, createEventRoutes, deleteOldRunEvents, EventFeed } from "./modules/events/public.ts";
import { Evaluator } from "./modules/expressions/public.ts";
import {
  Checkouts,
  createGitHubRoutes,
  createGitPushRoutes,
  createIntegrationRoutes,
  createSentryRoutes,
  createWebhookRoutes,
  followRepository,
  openGit,
  openGitHub,
  Polling,
  Providers,
  sealedCredentials,
  sentrySettings,
  Sources,
} from "./modules/integrations/public.ts";
import { createLogRoutes, Logs } from "./modules/logs/public.ts";
import {
  createOutgoingWebhookRoutes,
  OutgoingWebhooks,
  sealedWebhookSecrets,
} from "./modules/outgoing-webhooks/public.ts";
import { Mail, readSmtp, sealedLetters } from "./modules/mail/public.ts";
import { createOperationsRoutes, ServerSettings } from "./modules/operations/public.ts";
import { createProjectRoutes, createWorkflowSource, projects } from "./modules/projects/public.ts";
import {
  createInstanceRoutes,
  createProvisionerMachineRoutes,
  createProvisionerRoutes,
  DemandWaiters,
  explainWithProvisioners,
  instancesPort,
  runDueInstances,
} from "./modules/provisioners/public.ts";
import { createRegistryRoutes, sealedPasswords } from "./modules/registries/public.ts";
import { createReleaseRoutes } from "./modules/releases/routes.ts";
import {
  createMachineRoutes,
  createUserRunnerRoutes,
  removeOldRunners,
  shutRunnersOut,
} from "./modules/runners/public.ts";
import {
  cancelRunsOf,
  createRunRoutes,
  createUsageRoutes,
  fillDuePlaces,
  finalStatus,
  findRun,
  findStep,
  removeOldRuns,
  runDueExecutions,
  runDueListeners,
  runDueMembers,
  startRun,
} from "./modules/runs/public.ts";
import {
  createRootKeyRoutes,
  createSecretRoutes,
  Envelope,
  type KeyRing,
  Reseal,
  sealedSecrets,
  StepSecrets,
} from "./modules/secrets/public.ts";
import {
  createFilterEvaluation,
  createTriggerRoutes,
  deleteOldTriggerEvents,
  EventRouting,
  MAX_STORED_EVENTS,
  RunEndings,
  Schedules,
  type StartTriggered,
  type StoreDelivery,
  storeTriggerEvent,
  Subscriptions,
} from "./modules/triggers/public.ts";
import { createVariableRoutes, readVariables, resolveModel } from "./modules/variables/public.ts";
import {
  access,
  createInvitationRoutes,
  createMemberRoutes,
  createWorkspaceRoutes,
  eraseDeleted,
  type ErasureDeps,
  Removals,
} from "./modules/workspaces/public.ts";
import { readinessChecks } from "./readiness.ts";
import { createResolver } from "./network/resolve-host.ts";
import { systemClock } from "./store/clock.ts";
import { openTraces } from "./tracing/open.ts";
import { traceparentOf } from "./tracing/trace-ids.ts";
import { within } from "./within.ts";
import { openStore } from "./store/open.ts";
import type { Store, Tx } from "./store/store.ts";

const USER_TOKEN_SECONDS = 15 * 60;
/** Sessions are checked in the store at every claim, so the token itself may live long. */
const SESSION_TOKEN_SECONDS = 30 * 24 * 3_600;
const PRESENCE_INTERVAL_MS = 30_000;
const SESSION_MEMORY_MS = 10 * 60_000;
const DAY_MS = 24 * 3_600_000;
/** Those who watched a run have read its logs by then. */
const LOG_ARCHIVE_AFTER_MS = 10 * 60_000;
const REQUEST_TIMEOUT_MS = 120_000;
const KEEP_ALIVE_MS = 72_000;
/** How long a stop waits for work in the background: a webhook that is being sent, a log that is being packed. */
const BACKGROUND_LIMIT_MS = 2_500;

/** Every place where a module keeps something sealed. */
export const SEALED_COLUMNS = [
  sealedSecrets,
  sealedCredentials,
  sealedPasswords,
  sealedWebhookSecrets,
  sealedProviderSecrets,
  sealedLetters,
];

export interface App {
  readonly server: Server;
  /** Listens at a further address that serves machines only; ends with the app. As `listenWhenThere`. */
  listenForMachines(address: ListenAddress): Promise<void>;
  /** All metrics as text for Prometheus. */
  metrics(): Promise<string>;
  /** Takes the certificate's files again; nothing without TLS. */
  reloadCertificate(): void;
  /** The token for a first account from another machine; null when an account exists. */
  readonly setupToken: string | null;
  /** What is served and from what, for who looks in from this process. */
  readonly routes: readonly Route[];
  readonly services: Services;
  readonly store: Store;
  stop(): Promise<void>;
}

export interface AppOptions {
  readonly config: Config;
  readonly rootKeys: KeyRing;
  readonly publicUrl: string;
  readonly log: Logger;
  /** Takes a line for each request that is over; left out where no access log is kept. */
  readonly writeAccess?: (line: AccessLine) => void;
  /** The database is no longer ours: the process must stop. */
  readonly onLost: (reason: string) => void;
}

/** Opens the store, recovers what a crash left, and builds the server. The caller listens. */
export async function startApp(options: AppOptions): Promise<App> {
  const { config, rootKeys, publicUrl, log } = options;
  const rootKey = rootKeys.current;
  const clock = systemClock;
  const providerUrls = parseProviderUrls(config.agentProviderUrls);
  const files = tlsFiles(config);
  const certificate = files && new Certificate(files, log);
  const bus = new EventBus();
  const store = await openStore({
    databaseUrl: config.databaseUrl,
    dataDir: config.dataDir,
    onRunEvents: bus.publish,
    onLost: options.onLost,
    log,
  });
  const settings = await ServerSettings.open(store, {
    allow_signup: config.allowSignup,
    max_concurrent_runs: config.maxConcurrentRuns,
  });
  const tokens = new SignedTokens(rootKeys, { userSeconds: USER_TOKEN_SECONDS, sessionSeconds: SESSION_TOKEN_SECONDS });
  const dueLoop = new DueLoop(clock, log);
  // Archiving takes seconds; leases and timers must not wait for it.
  const keepLoop = new DueLoop(clock, log);
  // So does telling others what happened.
  const tellLoop = new DueLoop(clock, log);
  // And what starts runs: it may be many at once.
  const triggerLoop = new DueLoop(clock, log);
  // And what waits for git hosts.
  const pollLoop = new DueLoop(clock, log);

  const logs = new Logs({
    store,
    clock,
    log,
    dir: dataPaths(config).logs,
    settings: {
      budgetBaseBytes: config.logBudgetBytes,
      budgetPerMinuteBytes: config.logBudgetBytesPerMinute,
      closeGraceMs: config.logTailMs,
      archiveAfterMs: LOG_ARCHIVE_AFTER_MS,
      retentionMs: keptMs(config.logRetentionDays),
    },
    leaseEndedAt: (tx, executionId) => leaseEndedAt(tx, store.sql.forUpdate, executionId),
  });
  bus.subscribe((events) => logs.onRunEvents(events));
  const feed = new EventFeed();
  bus.subscribe(feed.onRunEvents);
  const counts = new EventCounts();
  bus.subscribe(counts.onRunEvents);
  const traces = await openTraces(config, { store, log });
  if (traces) bus.subscribe(traces.onRunEvents);
  const evaluator = new Evaluator();
  const demandWaiters = new DemandWaiters();
  const dispatch = new Dispatch({
    store,
    clock,
    log,
    logs,
    evaluator,
    readVariables,
    endings: new RunEndings((at) => triggerLoop.arm(at)),
    settings: {
      leaseTermMs: config.leaseTermMs,
      heartbeatIntervalMs: config.heartbeatIntervalMs,
      cancelLimitMs: config.cancelLimitMs,
      avoidMs: config.avoidMs,
      logTailMs: config.logTailMs,
      get maxConcurrentRuns() {
        return settings.maxConcurrentRuns;
      },
    },
    armDue: (at) => dueLoop.arm(at),
    onDemandChange: (workspaceId) => demandWaiters.wake(workspaceId),
  });
  const provisioning = { store, clock, dispatch, waiters: demandWaiters, armDue: (at: number) => dueLoop.arm(at) };
  const blobs = new FileBlobStore(dataPaths(config).blobs);
  const uploads = new Uploads(blobs);
  await logs.recover();
  await dispatch.recover();

  const urls = {
    allowFile: config.gitAllowFile,
    allowHttp: config.gitAllowHttp,
    allowPrivate: config.gitAllowPrivate,
    ownFolder: dataPaths(config).repositories,
  };
  const envelope = new Envelope(rootKeys);
  const reseal = new Reseal({
    store,
    log,
    ring: rootKeys,
    envelope,
    columns: SEALED_COLUMNS,
    tokenLifetimeMs: SESSION_TOKEN_SECONDS * 1_000,
  });
  const github = openGitHub({ config, rootKeys, publicUrl, store, clock, log, arm: (at) => tellLoop.arm(at) });
  if (github) bus.subscribe((events) => github.checks.onRunEvents(events));
  const sentry = sentrySettings(config);
  const providers = new Providers(["git", "webhook", ...(github ? ["github"] : []), ...(sentry ? ["sentry"] : [])]);
  const sources = new Sources({ envelope, urls, github: github?.sources ?? null });
  const mail = new Mail({ store, clock, log, envelope, smtp: readSmtp(config) });
  const resolve = createResolver();
  const outgoing = new OutgoingWebhooks({
    store,
    clock,
    log,
    envelope,
    resolve,
    version: VERSION,
    random: Math.random,
    settings: {
      allowPrivate: config.webhooksAllowPrivate,
      timeoutMs: config.webhookTimeoutMs,
      disableAfterMs: config.webhookDisableAfterDays * DAY_MS,
      retentionMs: config.webhookDeliveryRetentionDays * DAY_MS,
    },
  });
  bus.subscribe((events) => outgoing.onRunEvents(events));
  const git = await openGit({ folder: dataPaths(config).git, urls, environment: process.env });
  const reader = new DefinitionReader(config.defaultRunnerLabels);
  const subscriptions = new Subscriptions((at) => triggerLoop.arm(at));
  const storeDelivery: StoreDelivery = (tx, delivery) => {
    tx.afterCommit(() => triggerLoop.arm(clock.now()));
    return storeTriggerEvent(tx, delivery);
  };
  const starter = new DefinitionStarter(async (tx, request) =>
    startRun(tx, dispatch.runs, { ...request, model: await resolveModel(tx, request, request.model) }),
  );
  const start: StartTriggered = (tx, run) => starter.startTriggered(tx, run);
  const routing = new EventRouting({
    store,
    clock,
    log,
    evaluate: createFilterEvaluation(evaluator),
    start,
    runs: dispatch.runs,
  });
  const schedules = new Schedules({ store, clock, log, start });
  const syncs = new DefinitionSync({
    store,
    clock,
    log,
    projects,
    source: createWorkflowSource({ store, clock, sources, git }),
    reader,
    subscriptions,
  });
  const waiting = explainWithProvisioners(createWaitingPort(dispatch), clock);
  const tickets = new Tickets({ store, clock, access });
  const streams = new OpenStreams({ store, standing: tickets, limit: config.maxOpenStreams, log });
  const accounts = createAccounts({
    store,
    clock,
    log,
    tokens,
    passwords: new Passwords(),
    mail,
    accessChanged: streams.accessChanged,
    rootKey: rootKeys,
    publicUrl,
    get allowSignup() {
      return settings.allowSignup;
    },
    allowedAddresses: allowedAddresses(config),
    limits: {
      loginPerAddress: config.loginLimitPerAddress,
      loginPerEmail: config.loginLimitPerEmail,
      mailPerAddress: config.mailLimitPerAddress,
      mailPerEmail: config.mailLimitPerEmail,
    },
  });
  const scopedValues = { store, clock, access, projects, maxPerWorkspace: config.maxSecretsPerWorkspace };
  const removals = new Removals({
    store,
    shutOut: (tx, workspaceId, now) => shutRunnersOut(tx, dispatch, workspaceId, now),
    cancelRuns: (tx, workspaceId, limit, now) => cancelRunsOf(tx, dispatch.runs, workspaceId, { limit, now }),
    armDue: (at) => dueLoop.arm(at),
  });
  await removals.recover();
  const workspaceOfRun = async (tx: Tx, runId: string) => (await findRun(tx, runId))?.workspace_id ?? null;
  const routes: Route[] = [
    ...accounts.routes,
    ...createAccessTokenRoutes({
      store,
      clock,
      access,
      tickets,
      accessChanged: streams.accessChanged,
      confirmPassword: accounts.confirmPassword,
    }),
    ...createWorkspaceRoutes({ store, clock, access, accessChanged: streams.accessChanged, removals }),
    ...createMemberRoutes({ store, clock, access, accessChanged: streams.accessChanged }),
    ...createInvitationRoutes({ store, clock, access, mail, publicUrl }),
    ...createAuditRoutes({ store, access }),
    ...createOperationsRoutes({
      store,
      clock,
      access,
      accessChanged: streams.accessChanged,
      settings,
      version: VERSION,
      onLimitsChanged: (now) => dueLoop.arm(now),
      onReopened: (workspaceId) => dispatch.waiters.wakeWorkspace(workspaceId),
    }),
    ...createIntegrationRoutes({
      store,
      clock,
      access,
      envelope,
      urls,
      providers,
      sources,
      git,
      syncs,
      github: github?.sources ?? null,
    }),
    ...createGitPushRoutes({ store, clock, wake: () => pollLoop.arm(clock.now()) }),
    ...createGitHubRoutes({
      store,
      clock,
      access,
      providers,
      syncs,
      storeDelivery,
      app: github?.app ?? null,
      onLinked: (workspaceId) => github?.checks.follow(workspaceId),
    }),
    ...createSentryRoutes({ store, clock, access, providers, storeDelivery, settings: sentry }),
    ...createWebhookRoutes({
      store,
      clock,
      access,
      storeDelivery,
      envelope,
      publicUrl: (config.webhookPublicUrl ?? publicUrl).replace(/\/+$/, ""),
      callsPerMinute: config.webhookCallsPerMinute,
    }),
    ...createTriggerRoutes({ store, clock, access, wake: () => triggerLoop.arm(clock.now()) }),
    ...createOutgoingWebhookRoutes({
      store,
      clock,
      access,
      envelope,
      allowPrivate: config.webhooksAllowPrivate,
      wake: () => outgoing.wake(),
    }),
    ...createAgentRoutes({
      store,
      clock,
      access,
      envelope,
      resolve,
      prober: new Prober({ clock, resolve, version: VERSION, timeoutMs: config.agentProbeTimeoutMs }),
      settings: { allowPrivate: config.agentAllowPrivate, providerUrls },
    }),
    ...createRootKeyRoutes({
      store,
      clock,
      access,
      ring: rootKeys,
      reseal,
      onRotated: (now) => keepLoop.arm(now),
    }),
    ...createSecretRoutes({ ...scopedValues, envelope }),
    ...createVariableRoutes(scopedValues),
    ...createProjectRoutes({
      store,
      clock,
      access,
      sources,
      git,
      syncs,
      followRepository: (tx, project, now) => {
        tx.afterCommit(() => pollLoop.arm(now));
        return followRepository(tx, project, now);
      },
    }),
    ...createDefinitionRoutes({
      store,
      clock,
      access,
      projects,
      reader,
      subscriptions,
      starter,
    }),
    ...createRunRoutes({
      store,
      clock,
      access,
      waiting,
      runs: dispatch.runs,
      readDocument: (yaml) => reader.readDocument(yaml),
    }),
    ...createProvisionerRoutes({ store, clock, access, waiters: demandWaiters }),
    ...createInstanceRoutes({ ...provisioning, access }),
    ...createProvisionerMachineRoutes(provisioning),
    ...createUsageRoutes({
      store,
      clock,
      access,
      places: dispatch.runs,
      limits: {
        maxSecretsPerWorkspace: config.maxSecretsPerWorkspace,
        logRetentionDays: config.logRetentionDays,
        maxArtifactBytes: config.artifactWorkspaceBytes,
        maxCacheBytes: config.cacheWorkspaceBytes,
        storedTriggerEvents: MAX_STORED_EVENTS,
      },
    }),
    ...createArtifactRoutes({
      store,
      clock,
      access,
      blobs,
      projects,
      workspaceOfRun,
      armDue: (at) => keepLoop.arm(at),
    }),
    ...createLogRoutes({ store, clock, log, access, logs, streams, steps: { findStep } }),
    ...createEventRoutes({
      store,
      clock,
      log,
      access,
      streams,
      feed,
      finalStatus,
      logs,
      steps: { findStep },
    }),
    ...recordLateCalls(dispatch, [
      ...createAnnotationRoutes({
        store,
        clock,
        access,
        settings: { tailMs: config.logTailMs },
        workspaceOfRun,
      }),
      ...createRegistryRoutes({ store, clock, access, envelope, projects }),
      ...createMachineFileRoutes({
        store,
        clock,
        blobs,
        uploads,
        armDue: (at) => keepLoop.arm(at),
        settings: {
          maxArtifactBytes: config.artifactMaxBytes,
          maxRunArtifactBytes: config.artifactRunBytes,
          maxWorkspaceArtifactBytes: config.artifactWorkspaceBytes,
          maxCacheBytes: config.cacheMaxBytes,
          maxWorkspaceCacheBytes: config.cacheWorkspaceBytes,
          artifactRetentionMs: keptMs(config.artifactRetentionDays),
        },
      }),
    ]),
    ...createUserRunnerRoutes({ store, clock, access, dispatch, version: VERSION }),
    ...createMachineRoutes({
      store,
      clock,
      tokens,
      dispatch,
      logs,
      secrets: new StepSecrets(envelope, log),
      instances: instancesPort,
      checkout: new Checkouts({ store, clock, sources }),
      ...(traces ? { traceparentOf } : {}),
      settings: {
        outageLimitMs: config.outageLimitMs,
        leaseTermMs: config.leaseTermMs,
        heartbeatIntervalMs: config.heartbeatIntervalMs,
        version: VERSION,
      },
    }),
    ...createHomeRoutes({
      publicUrl,
      needsSetup: () => store.read(needsSetup),
      checks: readinessChecks({ store, clock, dataDir: config.dataDir, loops: [dueLoop, triggerLoop] }),
      log,
    }),
  ];
  routes.push(...createReleaseRoutes(config), ...createDocsRoutes(), openApiRoute(routes));

  const idempotency = new Idempotency(store, clock);
  const requests = new RequestCounts();
  const addressOf = clientAddress(config.trustProxy);
  const accessLog = options.writeAccess ? new AccessLog(addressOf, options.writeAccess) : null;
  const services: Services = {
    requests,
    accessLog,
    authenticate: createAuthenticate(tokens, createAccessTokens({ store, clock, log })),
    tickets,
    isGood: (principal) => store.read((tx) => tickets.isGood(tx, principal)),
    forbidden: new ForbiddenCalls(store, log).note,
    clientAddress: addressOf,
    limits: new RateLimits(clock, {
      read: config.rateReads,
      write: config.rateWrites,
      "run-start": config.rateRunStarts,
      settings: config.rateSettings,
      machine: config.rateMachine,
      stranger: config.rateStrangers,
      webhook: config.rateWebhooks,
    }),
    idempotency,
    log,
  };
  const origins = new AllowedOrigins(config.allowedOrigins);
  const webSockets = createWebSockets({
    tickets,
    streams,
    channels: createEventChannels({ store, clock, log, access, feed, finalStatus }),
    origins,
    clientAddress: services.clientAddress,
    accessLog,
    log,
  });
  const replies = new OpenReplies();
  const handler = createHotHandler(routes, services, createExpressApp(routes, services));
  const server = createMainServer(createFrontDoor(origins, { accessLog, replies }, handler), certificate);
  server.on("upgrade", webSockets.onUpgrade);
  const servers = [withTimeouts(server)];
  const stopping = new AbortController();
  const listenForMachines = async (address: ListenAddress) => {
    const machineRoutes = routesOfMachines(routes);
    const onMachine = createHotHandler(machineRoutes, services, createExpressApp(machineRoutes, services));
    const further = withTimeouts(
      createServer(createFrontDoor(new AllowedOrigins([]), { accessLog, replies }, onMachine)),
    );
    servers.push(further);
    await listenWhenThere(further, address, { log, signal: stopping.signal });
  };

  const eventLoopDelay = new EventLoopDelay();
  const metrics = () =>
    readMetrics({
      config,
      store,
      clock,
      log,
      dispatch,
      demandWaiters,
      logs,
      streams,
      counts,
      requests,
      traces,
      eventLoopDelay,
      certificate,
    });

  const reaper = new Reaper(dispatch);
  reaper.start();
  dueLoop.start([
    (now) => runDueExecutions(store, dispatch.runs, now),
    (now) => runDueListeners(store, dispatch.runs, now),
    (now) => runDueMembers(store, dispatch.runs, now),
    (now) => runDueLeases(dispatch, now),
    (now) => fillDuePlaces(store, dispatch.runs, now),
    (now) => runDueInstances(store, demandWaiters, now),
    (now) => logs.closeDue(now),
    (now) => removals.runDue(now),
    async (now) => {
      await store.write(async (tx) => {
        await dispatch.sessions.flush(tx, now, SESSION_MEMORY_MS);
        await dispatch.labelSets.removeIdle(tx, now);
      });
      return now + PRESENCE_INTERVAL_MS;
    },
  ]);
  const triggerEventsKeptMs = keptMs(config.triggerEventRetentionDays);
  const runEventsKeptMs = keptMs(config.runEventRetentionDays);
  const removeLogs = (executionIds: readonly string[]) => logs.removeOfExecutions(executionIds);
  const runRetention = {
    store,
    clock,
    keptMs: keptMs(config.runRetentionDays),
    removed: dispatch.runs.removed,
    removeLogs,
    dropArtifacts: (runIds: readonly string[], now: number) => dropArtifactsOfRuns(store, runIds, now),
  };
  const runnerRetention = {
    store,
    keptMs: runEventsKeptMs,
    runsKeptMs: runRetention.keptMs,
  };
  const erasure: ErasureDeps = {
    store,
    log,
    keptMs: config.deletedWorkspaceRetentionDays * DAY_MS,
    removeLogs,
    removeFiles: (workspaceId, now) => removeBlobsOfWorkspace({ store, uploads, log }, workspaceId, now),
  };
  keepLoop.start([
    (now) => logs.keepDue(now),
    (now) => reapBlobs({ store, uploads, log }, now),
    (now) => removeOldRuns(runRetention, now),
    (now) => removeOldRunners(runnerRetention, now),
    (now) => deleteOldTriggerEvents(store, triggerEventsKeptMs, now),
    (now) => outgoing.deleteOld(now),
    (now) => deleteOldRunEvents(store, runEventsKeptMs, now),
    (now) => idempotency.deleteOld(now),
    (now) => reseal.run(now),
    (now) => eraseDeleted(erasure, now),
    (now) => deleteOldAuditEvents(store, config.auditRetentionDays * DAY_MS, now),
  ]);
  outgoing.start();
  await github?.checks.start();
  tellLoop.start(github ? [() => github.checks.runDue(), (now) => github.missed.runDue(now)] : []);
  const polling = new Polling({
    store,
    clock,
    log,
    git,
    sources,
    syncs,
    storeDelivery,
    random: Math.random,
    intervalMs: config.gitPollIntervalSeconds * 1_000,
  });
  pollLoop.start([(now) => polling.runDue(now)]);
  triggerLoop.start([(now) => routing.runDue(now), (now) => schedules.runDue(now)]);
  await syncs.start();
  mail.start();

  const stop = async () => {
    replies.stop();
    const serversClosed = servers.map(closeServer);
    stopping.abort();
    dispatch.stop();
    demandWaiters.stop();
    streams.stop();
    endAllStreams();
    webSockets.close();
    reaper.stop();
    eventLoopDelay.stop();
    certificate?.stop();
    await Promise.all(serversClosed);
    github?.close();
    routing.stop();
    const quiet = Promise.allSettled([
      git.close(),
      traces?.stop(),
      ...[dueLoop, keepLoop, tellLoop, pollLoop, triggerLoop, syncs, outgoing, mail].map((part) => part.stop()),
    ]);
    // What is cut off in the middle goes on after the next start, as after a crash.
    if (!(await within(BACKGROUND_LIMIT_MS, quiet))) log.warn("work in the background was cut off by the stop");
    await reader.close();
    await evaluator.close();
    await logs.close();
    await store.close();
  };
  return {
    server,
    listenForMachines,
    metrics,
    reloadCertificate: () => certificate?.reload(),
    setupToken: (await store.read(needsSetup)) ? setupToken(rootKey) : null,
    routes,
    services,
    store,
    stop,
  };
}

/** Null for ever, which 0 days mean. */
function keptMs(days: number): number | null {
  return days === 0 ? null : days * DAY_MS;
}

function openApiRoute(routes: readonly Route[]): Route {
  let document: unknown;
  return route({
    method: "GET",
    path: "/openapi.json",
    tag: "Operations",
    summary: "This description",
    credential: "none",
    responses: { 200: z.looseObject({ openapi: z.string() }) },
    handle: async () => {
      document ??= createOpenApi(routes, VERSION);
      return { status: 200, body: document };
    },
  });
}

function createMainServer(listener: RequestListener, certificate: Certificate | null): Server {
  const options = { shouldUpgradeCallback: asksForWebSocket };
  if (certificate === null) return createServer(options, listener);
  const server = createTlsServer({ ...options, ...certificate.options }, listener);
  certificate.serve(server);
  return server;
}

function withTimeouts(server: Server): Server {
  server.requestTimeout = REQUEST_TIMEOUT_MS;
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  return server;
}
