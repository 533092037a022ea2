import FoundationEssentials
import Model

extension SeccompProfile {
    /// Reads a profile in Docker's JSON format (docs.docker.com/engine/security/seccomp), as `--security-opt
    /// seccomp=FILE` takes it: rules may depend on capabilities, architectures and the kernel's version.
    /// - Throws: `invalidArgument` that says what is wrong.
    static func docker(
        json: String, capabilities: Set<String>, machine: String, kernel: KernelVersion
    ) throws -> SeccompProfile {
        guard json.utf8.count <= 1 << 20 else {
            throw EngineError(.invalidArgument, "the seccomp profile is longer than 1 MiB")
        }
        let document: DockerDocument
        do {
            document = try JSONDecoder().decode(DockerDocument.self, from: Data(json.utf8))
        } catch {
            throw EngineError(
                .invalidArgument, "the seccomp profile is not JSON in Docker's format",
                hint: "use 'default', 'unconfined' or the content of a profile file", cause: error)
        }
        let names = machine == "aarch64" ? ["arm64", "aarch64"] : ["amd64", "x86_64"]
        var rules: [Rule] = []
        for call in document.syscalls ?? [] {
            if let includes = call.includes, !includes.holds(capabilities, names, kernel, all: true) { continue }
            if let excludes = call.excludes, !excludes.isEmpty,
                excludes.holds(capabilities, names, kernel, all: false)
            {
                continue
            }
            rules.append(
                Rule(
                    calls: (call.names ?? []) + (call.name.map { [$0] } ?? []),
                    action: try action(call.action, call.errnoRet),
                    conditions: try (call.args ?? []).map { try $0.condition }))
        }
        return SeccompProfile(
            defaultAction: try action(document.defaultAction, document.defaultErrnoRet), rules: rules,
            architectures: try document.architectures(machine: machine))
    }

    private static func action(_ name: String, _ errno: UInt32?) throws -> Action {
        switch name {
        case "SCMP_ACT_ALLOW": return .allow
        case "SCMP_ACT_ERRNO":
            guard let number = UInt16(exactly: errno ?? 1), number < 4096 else {
                throw EngineError(.invalidArgument, "seccomp profile: errno \(errno ?? 0) is out of range")
            }
            return .fail(number)
        case "SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD": return .killThread
        case "SCMP_ACT_KILL_PROCESS": return .killProcess
        case "SCMP_ACT_TRAP": return .trap
        case "SCMP_ACT_LOG": return .log
        default:
            throw EngineError(.invalidArgument, "seccomp profile: action \(Names.quoted(name)) is not supported")
        }
    }
}

/// `major.minor` of a kernel.
struct KernelVersion: Comparable, Sendable {
    var major: Int
    var minor: Int

    init(major: Int, minor: Int) {
        self.major = major
        self.minor = minor
    }

    /// Reads the start of a release as uname(2) gives it: `6.1.0-13-amd64`.
    init?(_ release: String) {
        let numbers = release.split(separator: ".", maxSplits: 2).map { $0.prefix { $0.isNumber } }
        guard numbers.count >= 2, let major = Int(numbers[0]), let minor = Int(numbers[1]) else { return nil }
        self.init(major: major, minor: minor)
    }

    static func < (left: KernelVersion, right: KernelVersion) -> Bool {
        (left.major, left.minor) < (right.major, right.minor)
    }
}

private struct DockerDocument: Decodable {
    var defaultAction: String
    var defaultErrnoRet: UInt32?
    var architectures: [String]?
    var archMap: [ArchitectureMap]?
    var syscalls: [Call]?

    struct ArchitectureMap: Decodable {
        var architecture: String
        var subArchitectures: [String]?
    }

    struct Call: Decodable {
        var names: [String]?
        var name: String?
        var action: String
        var errnoRet: UInt32?
        var args: [Argument]?
        var includes: Filter?
        var excludes: Filter?
    }

    struct Argument: Decodable {
        var index: UInt32
        var value: UInt64
        var valueTwo: UInt64?
        var op: String

        var condition: SeccompProfile.Condition {
            get throws {
                guard index < 6, let comparison = SeccompProfile.Condition.Comparison(rawValue: op) else {
                    throw EngineError(
                        .invalidArgument, "seccomp profile: argument \(index) with \(Names.quoted(op)) is not valid")
                }
                return SeccompProfile.Condition(
                    index: index, comparison: comparison, value: value, valueTwo: valueTwo ?? 0)
            }
        }
    }

    struct Filter: Decodable {
        var caps: [String]?
        var arches: [String]?
        var minKernel: String?

        var isEmpty: Bool { (caps ?? []).isEmpty && (arches ?? []).isEmpty && minKernel == nil }

        /// With `all` every part must hold (includes), else one is enough (excludes).
        func holds(_ held: Set<String>, _ machine: [String], _ kernel: KernelVersion, all: Bool) -> Bool {
            var parts: [Bool] = []
            for name in caps ?? [] { parts.append(held.contains(name)) }
            if let arches, !arches.isEmpty { parts.append(arches.contains { machine.contains($0) }) }
            if let minKernel { parts.append(KernelVersion(minKernel).map { kernel >= $0 } ?? false) }
            return all ? parts.allSatisfy { $0 } : parts.contains(true)
        }
    }

    func architectures(machine: String) throws -> [SeccompProfile.Architecture] {
        let native: SeccompProfile.Architecture = machine == "aarch64" ? .aarch64 : .x86_64
        let mapped = (archMap ?? []).first { $0.architecture == native.rawValue }?.subArchitectures ?? []
        let named = (architectures ?? []) + mapped
        return [native] + named.compactMap(SeccompProfile.Architecture.init(rawValue:)).filter { $0 != native }
    }
}
