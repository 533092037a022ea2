import DoorKit
import Engine
import Logging
import Model
import RESTDoor
import ServiceLifecycle
import Synchronization

/// Listens for remote clients where the settings say, and follows their changes while the daemon runs.
actor RemoteListeners {
    private enum Place: String, CaseIterable {
        case api = "core.https_address"
        case metrics = "core.metrics_address"
    }

    private struct Listener {
        var address: TCPAddress
        var task: Task<Void, Never>
    }

    /// What the API says about where it listens.
    final class Addresses: Sendable {
        private let api = Mutex<TCPAddress?>(nil)
        fileprivate func set(_ address: TCPAddress?) { api.withLock { $0 = address } }
        var reachable: [String] { api.withLock { $0 }?.reachable.map(\.description) ?? [] }
    }

    private static let noCertificate = "Server certificate not usable"

    private let door: RESTDoor
    private let tls: Result<TLSServer, any Error>
    private let logger: Logger
    private let addresses: Addresses
    private var listeners: [Place: Listener] = [:]

    /// - Parameter tls: or why there can be none.
    init(door: RESTDoor, tls: Result<TLSServer, any Error>, addresses: Addresses, logger: Logger) {
        self.door = door
        self.tls = tls
        self.addresses = addresses
        self.logger = logger
    }

    /// Follows the settings from now on. An address that cannot be listened on now does not keep the daemon from its
    /// work: it is logged and becomes a warning.
    func begin(_ engine: Engine) async {
        if case .failure(let error) = tls {
            logger.error("remote clients cannot be served", metadata: ["error": "\(error)"])
            await engine.warnings.raise(Self.noCertificate, .high, "\(error)")
        } else {
            await engine.warnings.resolve(Self.noCertificate)
        }
        for place in Place.allCases {
            guard let text = await engine.settings.get(place.rawValue) else { continue }
            do { try await move(place, to: try TCPAddress(text)) } catch {
                logger.error("remote clients cannot be served", metadata: ["address": "\(text)", "error": "\(error)"])
                await engine.warnings.raise("Listening address not available", .high, "\(place.rawValue): \(error)")
            }
        }
        await engine.settings.onChange { [weak self] old, new in
            for place in Place.allCases where old[place.rawValue] != new[place.rawValue] {
                try await self?.move(place, to: try new[place.rawValue].map { try TCPAddress($0) })
                await engine.warnings.resolve("Listening address not available")
            }
        }
    }

    /// Ends all of them; requests in progress have the servers' grace.
    func end() async {
        let all = listeners.values
        listeners = [:]
        for listener in all { listener.task.cancel() }
        for listener in all { await listener.task.value }
    }

    private func move(_ place: Place, to address: TCPAddress?) async throws {
        let old = listeners[place]
        guard let address else {
            old?.task.cancel()
            listeners[place] = nil
            if place == .api { addresses.set(nil) }
            return
        }
        guard old?.address != address else { return }
        let tls = try tls.get()
        let descriptor: OwnedDescriptor
        if old?.address.port == address.port {
            descriptor = try await replace(place, with: address, tls)
        } else {
            descriptor = try TCPListener.open(address)
            old?.task.cancel()
        }
        serve(place, address, descriptor, tls)
    }

    /// The old socket stands in the new one's way: it goes first, and comes back if the new one cannot be had.
    private func replace(
        _ place: Place, with address: TCPAddress, _ tls: TLSServer
    ) async throws -> OwnedDescriptor {
        guard let old = listeners.removeValue(forKey: place) else { return try TCPListener.open(address) }
        old.task.cancel()
        do { return try await open(address) } catch {
            serve(place, old.address, try await open(old.address), tls)
            throw error
        }
    }

    /// Tries again for as long as the former socket may take to be closed.
    private func open(_ address: TCPAddress) async throws -> OwnedDescriptor {
        for _ in 0..<50 {
            do { return try TCPListener.open(address) } catch let error as EngineError where error.code == .conflict {
                try await Task.sleep(for: .milliseconds(20))
            }
        }
        return try TCPListener.open(address)
    }

    private func serve(_ place: Place, _ address: TCPAddress, _ descriptor: OwnedDescriptor, _ tls: TLSServer) {
        let service = door.service(on: descriptor, tls: tls, onlyMetrics: place == .metrics)
        let logger = logger
        let task = Task {
            do { try await service.run() } catch {
                logger.error(
                    "serving remote clients ended", metadata: ["address": "\(address)", "error": "\(error)"])
            }
        }
        listeners[place] = Listener(address: address, task: task)
        if place == .api { addresses.set(address) }
        logger.info("serving remote clients", metadata: ["address": "\(address)", "for": "\(place)"])
    }
}

/// Ends the remote listeners with the daemon.
struct RemoteAccess: Service, CustomStringConvertible {
    let listeners: RemoteListeners
    var description: String { "remote access" }

    func run() async throws {
        try? await gracefulShutdown()
        await listeners.end()
    }
}
