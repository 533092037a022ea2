import DriverKit
import Model

/// What a plan's options add to a runtime configuration.
enum SpecOptions {
    /// - Parameter hasDomain: the runtime sets the domain name itself; others get it as the setting that it is.
    static func sysctls(_ options: ContainerOptions, hasDomain: Bool) -> [String: String] {
        var result = options.sysctls
        if let name = options.domainName, options.hostName == .own, !hasDomain { result["kernel.domainname"] = name }
        return result
    }

    /// The limits asked for, and that of open files, which every instance has.
    /// - Throws: `invalidArgument` for more than this daemon itself may have.
    static func limits(_ options: ContainerOptions, maximumOpenFiles: UInt64) throws -> [RuntimeSpec.Rlimit] {
        var limits = options.limits
        if let files = limits["nofile"], files.hard > maximumOpenFiles, files.hard != .max {
            throw EngineError(
                .invalidArgument, "limits.kernel.nofile=\(files.hard) is more than this host's daemon may allow",
                hint: "at most \(maximumOpenFiles)")
        }
        let files = limits["nofile"] ?? KernelLimit(soft: 1024, hard: .max)
        limits["nofile"] = KernelLimit(
            soft: min(files.soft, maximumOpenFiles), hard: min(files.hard, maximumOpenFiles))
        return limits.sorted { $0.key < $1.key }.map {
            RuntimeSpec.Rlimit(type: "RLIMIT_\($0.key.uppercased())", hard: $0.value.hard, soft: $0.value.soft)
        }
    }

    /// The program behind the init, if there is one.
    static func arguments(_ arguments: [String], _ facts: SpecFacts) -> [String] {
        facts.initProgram == nil ? arguments : [initPath] + arguments
    }

    /// Where the init is shown: on the instance's own /dev, so that the root filesystem gets no file.
    static let initPath = "/dev/isle-init"

    /// The mounts that options make. They come before the user's own.
    static func mounts(_ options: ContainerOptions, _ facts: SpecFacts) throws -> [RuntimeSpec.Mount] {
        var mounts = facts.deviceNodes.map {
            RuntimeSpec.Mount("bind", $0.source, at: $0.target, ["bind", "rprivate"])
        }
        if let program = facts.initProgram {
            mounts.append(
                RuntimeSpec.Mount("bind", program, at: initPath, ["bind", "rprivate", "ro", "nosuid", "nodev"]))
        }
        return mounts
    }

    /// The tmpfs mounts, those nearer to the root first.
    static func tmpfs(_ options: ContainerOptions) throws -> [RuntimeSpec.Mount] {
        try options.tmpfs.map {
            RuntimeSpec.Mount("tmpfs", "tmpfs", at: try SpecMounts.checkedTarget($0.target), $0.options)
        }.sorted {
            ($0.destination.split(separator: "/").count, $0.destination)
                < ($1.destination.split(separator: "/").count, $1.destination)
        }
    }
}

extension NetworkMode {
    /// Whether the network namespace is the instance's own, whose settings are its to make.
    var isOwn: Bool {
        switch self {
        case .none, .endpoints: true
        case .host, .instance: false
        }
    }

    var isHost: Bool { if case .host = self { true } else { false } }
}
