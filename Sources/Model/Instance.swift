/// The four kinds of isolated system that Isle runs.
public enum InstanceKind: String, Sendable, Codable, CaseIterable {
    /// One process from an OCI image, in namespaces of the host's kernel.
    case application
    /// A whole Linux userland with its own init, on the host's kernel.
    case system
    /// A virtual machine with a kernel of its own, under QEMU.
    case machine
    /// A WASM/WASI module.
    case module
}

/// The identity of an instance: sixteen lowercase hexadecimal digits, made once, kept over renames.
public struct InstanceID: Hashable, Sendable, Codable, CustomStringConvertible {
    public let raw: String

    /// Returns nil unless `raw` is sixteen lowercase hexadecimal digits, so that an id can be part of a path.
    public init?(_ raw: String) {
        guard raw.utf8.count == 16, raw.utf8.allSatisfy({ (48...57).contains($0) || (97...102).contains($0) })
        else { return nil }
        self.raw = raw
    }

    private init(value: UInt64) {
        let digits = String(value, radix: 16)
        raw = String(repeating: "0", count: 16 - digits.utf8.count) + digits
    }

    /// A new random id.
    public static func random() -> InstanceID { InstanceID(value: UInt64.random(in: .min ... .max)) }

    public init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let id = InstanceID(text) else {
            throw EngineError(.invalidArgument, "'\(text)' is not an instance id")
        }
        self = id
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(raw)
    }

    public var description: String { raw }
}

/// What is stored about an instance: what the user asked for and what cannot be worked out again.
public struct InstanceRecord: Sendable, Codable, Identifiable {
    public let id: InstanceID
    public var project: String
    public var name: String
    public var kind: InstanceKind
    /// As uname(2) says it: `x86_64`, `aarch64`.
    public var architecture: String
    public var description: String
    /// The instance's own keys; profiles are merged below them on use.
    public var config: [String: String]
    /// The instance's own devices by name; profiles are merged below them on use.
    public var devices: [String: [String: String]]
    /// Names of profiles, the later ones win.
    public var profiles: [String]
    /// Deleted as soon as it stops.
    public var ephemeral: Bool
    /// Digest of the image's manifest, `sha256:…`; nil for an instance made without an image.
    public var image: String?
    /// The reference that the image was asked for by, for people to read.
    public var imageReference: String?
    /// Seconds since 1970.
    public var createdAt: Double
    /// Seconds since 1970 of the last start; 0 if it never ran.
    public var lastUsedAt: Double
    /// What the user last asked for: true after start, false after stop. Decides what comes back after a reboot.
    public var wantsRunning: Bool
    /// How the last run ended; nil if it never ran or runs now.
    public var lastExit: ExitRecord?
    /// The moment whose templates the next start applies beside those of every start: `create` or `copy`.
    public var templatesDue: String?
    /// The storage pool that its files are in; nil is the standard one.
    public var pool: String?
    /// True if the next start goes on from the state that the last stop kept.
    public var hasSavedState: Bool?
    /// What health tests have shown in the last run; nil if there were none.
    public var health: HealthState?
    /// What a door keeps with the instance, by a name of the door's own; the engine never reads it.
    public var annotations: [String: String]?

    public init(
        id: InstanceID, project: String = "default", name: String, kind: InstanceKind, architecture: String,
        description: String = "", config: [String: String] = [:], devices: [String: [String: String]] = [:],
        profiles: [String] = ["default"], ephemeral: Bool = false, image: String? = nil,
        imageReference: String? = nil, createdAt: Double, lastUsedAt: Double = 0, wantsRunning: Bool = false,
        lastExit: ExitRecord? = nil, pool: String? = nil
    ) {
        self.id = id
        self.project = project
        self.name = name
        self.kind = kind
        self.architecture = architecture
        self.description = description
        self.config = config
        self.devices = devices
        self.profiles = profiles
        self.ephemeral = ephemeral
        self.image = image
        self.imageReference = imageReference
        self.createdAt = createdAt
        self.lastUsedAt = lastUsedAt
        self.wantsRunning = wantsRunning
        self.lastExit = lastExit
        self.pool = pool
    }
}

extension InstanceRecord {
    /// The host's ids that its last start gave it; nil if it never ran, or shares the host's.
    public var mappedIDs: IDRange? {
        guard let base = config["volatile.idmap.base"].flatMap({ UInt32($0) }) else { return nil }
        // Was read before it was kept.
        return IDRange(base: base, exceptions: config["volatile.idmap.raw"].flatMap { try? IDException.parse($0) })
    }

    /// The same with another identity, for copies.
    public func with(id: InstanceID) -> InstanceRecord {
        InstanceRecord(
            id: id, project: project, name: name, kind: kind, architecture: architecture, description: description,
            config: config, devices: devices, profiles: profiles, ephemeral: ephemeral, image: image,
            imageReference: imageReference, createdAt: createdAt, lastUsedAt: lastUsedAt, wantsRunning: wantsRunning,
            lastExit: lastExit, pool: pool)
    }
}

/// How a process or an instance ended.
public struct ExitRecord: Sendable, Codable, Hashable {
    /// The exit code, or 128 plus the signal's number.
    public var code: Int32
    /// The signal that ended it, if one did.
    public var signal: Int32?
    /// The kernel killed it because its memory limit was reached.
    public var outOfMemory: Bool
    /// Seconds since 1970.
    public var finishedAt: Double
    /// Why, where the code alone does not tell (a WASM trap, a failed start, `reboot`).
    public var reason: String?

    /// The `reason` of an instance that ended in order to be started again, because it was told to from inside.
    public static let reboot = "reboot"
    /// Whether the instance wants to be started again at once.
    public var wantsReboot: Bool { reason == Self.reboot }

    public init(
        code: Int32, signal: Int32? = nil, outOfMemory: Bool = false, finishedAt: Double, reason: String? = nil
    ) {
        self.code = code
        self.signal = signal
        self.outOfMemory = outOfMemory
        self.finishedAt = finishedAt
        self.reason = reason
    }
}

/// What an instance is doing, as people are shown it.
public enum InstanceStatus: String, Sendable, Codable, CaseIterable {
    case stopped = "Stopped"
    case starting = "Starting"
    case running = "Running"
    case frozen = "Frozen"
    case stopping = "Stopping"
    case error = "Error"
}
