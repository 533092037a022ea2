import ArgumentParser
import CHost
import DockerDoor
import DoorKit
import Engine
import Glibc
import Logging
import Model
import RESTDoor
import ServiceLifecycle
import UnixSignals

/// The daemon.
@main
struct Isled: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "isled", abstract: "The daemon of Isle: runs containers, machines and WASM modules.",
        discussion: "Instances go on when it ends or is killed; the next one takes them over.",
        version: Version.current)

    @OptionGroup var options: Options

    func run() async throws {
        let level = Logger.Level(rawValue: options.logLevel) ?? .info
        let events = EventBus()
        let logger = Logger(label: "isled") { label in
            var stream = StreamLogHandler.standardError(label: label)
            stream.logLevel = level
            return MultiplexLogHandler([stream, EventLogHandler(events: events, logLevel: level)])
        }
        do {
            try await serve(logger, events)
        } catch let error as EngineError {
            logger.critical("isled cannot go on: \(error)")
            throw ExitCode(1)
        }
    }

    private func serve(_ logger: Logger, _ events: EventBus) async throws {
        guard geteuid() == 0 else {
            throw EngineError(.permissionDenied, "isled must run as root", hint: "sudo isled, or use its systemd unit")
        }
        prepareProcess()
        // The folders are made with the modes they need by the composition; the locks need them to be there.
        let layout = HostLayout(state: options.stateDir, run: options.runDir)
        try Folders.make(layout)
        let locks = [try DaemonLock(folder: options.stateDir), try DaemonLock(folder: options.runDir)]
        let inherited = UnixListener.inherited()
        let composition = try await Composition(options, events: events, logger: logger)
        let listener: OwnedDescriptor
        var dockerListener: OwnedDescriptor?
        do {
            try await composition.engine.start()
            await composition.door.followSettings()
            await composition.remote.begin(composition.engine)
            listener = try inherited.first ?? UnixListener.open(path: layout.socket, group: options.group)
            dockerListener = try options.dockerPath.map { try UnixListener.open(path: $0, group: options.group) }
        } catch {
            await composition.close()
            throw error
        }
        var services: [ServiceGroupConfiguration.ServiceConfiguration] = [
            .init(service: composition.door.service(on: listener))
        ]
        if let dockerListener { services.append(.init(service: composition.dockerDoor.service(on: dockerListener))) }
        services += [
            .init(service: RemoteAccess(listeners: composition.remote)),
            .init(service: Readiness(logger: logger, socket: layout.socket)),
            .init(service: Housekeeping(engine: composition.engine)),
        ]
        defer { if dockerListener != nil, let path = options.dockerPath { unlink(path) } }
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: services, gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
        do {
            try await group.run()
        } catch {
            logger.error("a server of the daemon failed", metadata: ["error": "\(error)"])
            await end(composition)
            if inherited.isEmpty { unlink(layout.socket) }
            throw error
        }
        await end(composition)
        // A socket of the service manager stays: it starts the daemon again with the next client.
        if inherited.isEmpty { unlink(layout.socket) }
        logger.info("ended; instances go on")
        withExtendedLifetime(locks) {}
    }

    private func end(_ composition: Composition) async {
        ServiceManager.notify("STOPPING=1")
        await composition.engine.shutdown()
        await composition.close()
    }

    /// What every child should find as usual, whatever the daemon was started from.
    private func prepareProcess() {
        signal(SIGPIPE, SIG_IGN)
        isle_limit_arenas()
        umask(0o022)
        chdir("/")
        var limit = rlimit()
        if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
            limit.rlim_cur = limit.rlim_max
            setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        }
    }
}

/// Says that the daemon is ready once its servers run.
private struct Readiness: Service, CustomStringConvertible {
    let description = "readiness"
    let logger: Logger
    let socket: String

    func run() async throws {
        logger.info("ready", metadata: ["socket": "\(socket)"])
        ServiceManager.notify("READY=1")
        ProgramPages.releaseAfterStart(logger)
        try? await gracefulShutdown()
    }
}

/// Gives memory back that a burst of work left, so that an idle daemon stays small.
private struct Housekeeping: Service, CustomStringConvertible {
    let description = "housekeeping"
    let engine: Engine

    func run() async throws {
        await cancelWhenGracefulShutdown {
            var rounds = 0
            while !Task.isCancelled {
                do { try await Task.sleep(for: .seconds(20)) } catch { return }
                rounds += 1
                // Once, when the start is long over: what of the host does not work becomes a warning.
                if rounds == 3 { _ = await engine.check() }
                isle_release_memory()
            }
        }
    }
}
