public import Model

/// Runs instances of some kinds by one technology.
///
/// The life of an instance: `create` makes namespaces, mounts and the shim, but none of the user's code runs yet;
/// the engine then connects the network and attaches clients; `start` lets it run; it ends by itself, by a signal
/// or by `kill`; `wait` reports once how; `delete` takes away what `create` made. `delete` is legal at any point
/// and kills what still runs. Every running instance belongs to a shim process that outlives the daemon;
/// `reattach` finds it again.
///
/// What a driver cannot do is an absent (nil) facet of its handle.
public protocol InstanceDriver: Sendable {
    /// The kinds it runs.
    var kinds: Set<InstanceKind> { get }
    /// Whether it works on this host, for `isle doctor`: one entry per part it needs.
    func check() async -> [HostCheck]
    /// Makes everything ready; on error nothing is left.
    func create(_ plan: LaunchPlan) async throws -> any InstanceHandle
    /// After a daemon restart: what became of the instance whose run directory this is.
    func reattach(_ id: InstanceID, kind: InstanceKind, runDirectory: String, stateDirectory: String) async throws
        -> Reattached
    /// The files of an instance that does not run, which the caller keeps from being started meanwhile.
    /// `unsupported` for a kind whose files cannot be reached from outside.
    ///
    /// - Parameter mounts: what is shown in it too, with the owners that it has on disk; missing targets are made.
    func files(of root: RootSource, mounts: [MountSpec], runDirectory: String) async throws -> any FileTree
}

extension InstanceDriver {
    public func files(of root: RootSource, mounts: [MountSpec], runDirectory: String) async throws -> any FileTree {
        throw EngineError(
            .unsupported, "the files of this instance cannot be reached while it does not run", hint: "start it first")
    }
}

/// What `reattach` found.
public enum Reattached: Sendable {
    /// The shim lives; the handle works as before.
    case running(any InstanceHandle)
    /// It ended while nobody looked; what it left was cleaned up.
    case exited(ExitRecord)
    /// There is no trace of a run (never started, or the host was rebooted).
    case gone
}

/// One part of the host that Isle needs, and whether it works.
public struct HostCheck: Sendable, Hashable, Codable {
    public enum Level: String, Sendable, Codable { case ok, warning, error }
    public var name: String
    public var level: Level
    /// What was found, in one line.
    public var finding: String
    /// What to do about it and what still works without; nil when all is well.
    public var advice: String?

    public init(_ name: String, _ level: Level, _ finding: String, advice: String? = nil) {
        self.name = name
        self.level = level
        self.finding = finding
        self.advice = advice
    }
}

/// A live instance.
public protocol InstanceHandle: Sendable {
    var id: InstanceID { get }
    /// Process id on the host of the instance's first process (QEMU for a machine); nil before `start`.
    var pid: Int32? { get async }
    /// The network namespace to connect endpoints to; nil for machines (taps) and host networking.
    var networkNamespace: OwnedDescriptor? { get async throws }

    /// What of the plan could only be done in a lesser way, one sentence each that begins with a small letter: for the
    /// user who starts it. Empty for a handle of `reattach`.
    var notices: [String] { get }

    /// Runs the first process. Returns when it has been executed; a program that cannot be executed is
    /// `invalidArgument` (not found: `notFound`), and the instance is as before `start`.
    func start() async throws
    /// Asks the instance to end (stop signal, init's own signal, ACPI button, agent). Does not wait.
    func requestStop(signal: String?) async throws
    /// Sends a signal to the first process. `SIGKILL` always ends the instance.
    func signal(_ number: Int32) async throws
    /// Suspends until the instance has ended, and says how; may be called by many and again later.
    func wait() async throws -> ExitRecord
    /// Kills what runs and removes what `create` made; a second call does nothing.
    func delete() async throws

    /// Connects new streams to the first process: output from now on, and its standard input if it is open.
    var attach: (any AttachFacet)? { get }
    var exec: (any ExecFacet)? { get }
    var pause: (any PauseFacet)? { get }
    /// Changes limits while it runs.
    var limits: (any LimitsFacet)? { get }
    var usage: (any UsageFacet)? { get }
    /// Asks the guest to reboot without ending the instance; nil: the engine stops and starts it.
    var reboot: (any RebootFacet)? { get }
    var files: (any FilesFacet)? { get }
    /// Mounts and device files that come and go while it runs; nil: with the next start.
    var devices: (any DevicesFacet)? { get }
    /// Saves what it is doing.
    var state: (any StateFacet)? { get }
    /// Adds and removes devices while it runs.
    var hotplug: (any HotplugFacet)? { get }
    var screen: (any ScreenFacet)? { get }
}

extension InstanceHandle {
    public var notices: [String] { [] }
    public var attach: (any AttachFacet)? { nil }
    public var exec: (any ExecFacet)? { nil }
    public var pause: (any PauseFacet)? { nil }
    public var limits: (any LimitsFacet)? { nil }
    public var usage: (any UsageFacet)? { nil }
    public var reboot: (any RebootFacet)? { nil }
    public var files: (any FilesFacet)? { nil }
    public var devices: (any DevicesFacet)? { nil }
    public var state: (any StateFacet)? { nil }
    public var hotplug: (any HotplugFacet)? { nil }
    public var screen: (any ScreenFacet)? { nil }
}

/// Streams of the first process.
public protocol AttachFacet: Sendable {
    /// With a terminal there is one stream: `SessionStreams.error` is nil and input is the terminal's.
    func attach(withInput: Bool) async throws -> any AttachSession
}

/// One attached client; closing its streams detaches it.
public protocol AttachSession: Sendable {
    var streams: SessionStreams { get }
    func resize(_ size: TerminalSize) async throws
}

/// The daemon's ends of a session's streams. End of file on `output` and `error` is the end of the session.
public struct SessionStreams: Sendable {
    /// Written by the daemon; closing it closes the process's standard input. nil: no input wanted.
    public var input: OwnedDescriptor?
    /// Read by the daemon. With a terminal `input` and `output` may be the same open file.
    public var output: OwnedDescriptor
    /// Read by the daemon; nil with a terminal.
    public var error: OwnedDescriptor?

    public init(input: OwnedDescriptor?, output: OwnedDescriptor, error: OwnedDescriptor?) {
        self.input = input
        self.output = output
        self.error = error
    }
}

/// Further processes.
public protocol ExecFacet: Sendable {
    /// Starts `process` in the instance. Errors: `notFound` (program or user), `invalidArgument` (cannot execute).
    func exec(_ process: ProcessSpec, stdio: StdioOptions) async throws -> any ExecSession
}

/// One further process.
public protocol ExecSession: Sendable {
    var streams: SessionStreams { get }
    /// The process's id on the host; nil if it is not one of the host's.
    var hostPID: Int32? { get }
    func resize(_ size: TerminalSize) async throws
    func signal(_ number: Int32) async throws
    /// Suspends until the process has ended; may be called again later.
    func wait() async throws -> ExitRecord
}

extension ExecSession {
    public var hostPID: Int32? { nil }
}

/// Suspends all processes of the instance.
public protocol PauseFacet: Sendable {
    func pause() async throws
    func resume() async throws
    var isPaused: Bool { get async throws }
}

public protocol LimitsFacet: Sendable {
    /// Applies the new limits as a whole. `unsupported` names the one that cannot change while it runs.
    func apply(_ limits: Limits) async throws
}

public protocol UsageFacet: Sendable {
    func usage() async throws -> Usage
}

/// What a running instance is shown of the host.
public protocol DevicesFacet: Sendable {
    /// Mounts a file or folder of the host; what is missing of the target is made.
    func attach(_ mount: MountSpec) async throws
    /// Shows a device file.
    func attach(_ device: DeviceNode) async throws
    /// Takes the mount or device file at `target` away, in use or not. No error if it is not there.
    func detach(target: String) async throws
    /// Begins to pass connections on; that outlives the daemon and ends with the instance. `conflict` for an address that
    /// is taken.
    func open(_ forward: ForwardSpec) async throws
    /// Ends it, open connections too. No error if there is none of the name.
    func close(forward name: String) async throws
}

public protocol RebootFacet: Sendable {
    func reboot() async throws
}
