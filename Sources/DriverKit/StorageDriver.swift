/// Makes and opens pools of one technology.
///
/// The configuration of a pool is a table of texts as users give it (`source`, `size`, …); errors name the key.
public protocol StorageDriver: Sendable {
    /// As users name it: `dir`, `btrfs`.
    var name: String { get }
    /// Of the technology, for people.
    var version: String { get async }
    /// Whether it works on this host, for `isle doctor`.
    func check() async -> [HostCheck]
    /// Checks and completes the configuration of a new pool and makes what it needs on the host. Nothing is left on an
    /// error, and nothing that was there before is ever overwritten.
    func create(_ pool: String, config: [String: String]) async throws -> [String: String]
    /// Makes a pool that was created before usable, after a reboot of the host too.
    func open(_ pool: String, config: [String: String]) async throws -> any StoragePool
    /// Checks a changed configuration and applies it. `unsupported` names the key that cannot change.
    func update(_ pool: String, from old: [String: String], to new: [String: String]) async throws
    /// Takes away what `create` made; the caller knows that nothing uses the pool. No error if it is gone already.
    func remove(_ pool: String, config: [String: String]) async throws
}
