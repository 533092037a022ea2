import DriverKit
import Logging
import Model
public import StateStore

/// The daemon's own settings. Whoever acts on a key registers for changes and may refuse one.
public actor ServerSettings {
    /// Brings the change about; what it throws undoes the change.
    public typealias Applier = @Sendable (_ old: [String: String], _ new: [String: String]) async throws -> Void

    /// Shown as `true`, since its value is a secret.
    public static let hidden: Set<String> = ["core.trust_password"]

    private let parts: EngineParts
    private let lock = KeyedLock<String>()
    private var config: [String: String] = [:]
    private var appliers: [Applier] = []
    private static let setting = "server.config"

    init(parts: EngineParts) { self.parts = parts }

    func load() async throws { config = try await Self.stored(parts.store) }

    /// The settings as they are stored, for what is made before the engine. `internal` if they cannot be read.
    public static func stored(_ store: StateStore) async throws -> [String: String] {
        guard let text = try await store.setting(Self.setting) else { return [:] }
        guard let stored = JSONStrings.decode(text) else {
            throw EngineError(.internal, "the server's settings cannot be read; they were left as they are")
        }
        return stored
    }

    /// With secrets as they are stored.
    public func all() -> [String: String] { config }
    public func get(_ key: String) -> String? { config[key] }
    public func flag(_ key: String) -> Bool? { config[key].flatMap(Units.bool) }

    /// As clients are shown it.
    public func shown() -> [String: String] {
        config.reduce(into: [:]) { $0[$1.key] = Self.hidden.contains($1.key) ? "true" : $1.value }
    }

    /// Calls `apply` after each change that was checked and before it is stored.
    public func onChange(_ apply: @escaping Applier) { appliers.append(apply) }

    /// - Parameter replacing: keys that are not named are taken away.
    /// - Parameter check: called with the configuration as it is shown, inside the change.
    public func change(
        _ wanted: [String: String], replacing: Bool, check: @Sendable ([String: String]) throws -> Void = { _ in }
    ) async throws {
        try await lock.withLock("config") {
            try check(shown())
            var wanted = wanted
            for key in Self.hidden where wanted[key] == "true" { wanted[key] = config[key] ?? "" }
            let changed = wanted.filter { config[$0.key] != $0.value }
            try ServerOptions.check(changed)
            var new = replacing ? wanted : config.merging(wanted) { $1 }
            new = new.filter { !$0.value.isEmpty }
            if let password = new["core.trust_password"], password != config["core.trust_password"] {
                guard let trust = parts.trust else {
                    throw EngineError(.unsupported, "this daemon takes no remote clients")
                }
                new["core.trust_password"] = try trust.hash(password: password)
            }
            guard new != config else { return }
            try await apply(new)
        }
    }

    private func apply(_ new: [String: String]) async throws {
        let old = config
        try await withReverter { reverter in
            for apply in appliers {
                try await apply(old, new)
                reverter.onFailure("going back to the old settings") { try await apply(new, old) }
            }
            try await parts.store.set(Self.setting, JSONStrings.encode(new))
        }
        config = new
        parts.events.lifecycle("config-updated", "/1.0")
    }
}
