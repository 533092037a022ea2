import FoundationEssentials
import Glibc
import LinuxHost
import Model

/// Kernel settings below /proc/sys/net of the process's network namespace.
enum KernelSetting {
    /// Without surrounding white space; nil if the kernel has no such setting.
    static func read(_ path: String) -> String? {
        guard let bytes = try? readSmallFile("/proc/sys/net/" + path) else { return nil }
        return String(decoding: bytes.prefix { $0 != 10 }, as: UTF8.self)
    }

    /// - Throws: `internal` naming setting and value.
    static func write(_ path: String, _ value: String) throws {
        let number = tryWrite(path, value)
        guard number == 0 else {
            throw EngineError(
                .internal, "cannot set net.\(path) to \(value): \(String(cString: strerror(number)))",
                hint: "is /proc/sys writable here?")
        }
    }

    /// In the namespace of an instance that is configured from outside its own root rules: low ports and ping need no
    /// privilege (as Docker has it).
    static func openToInstance() {
        tryWrite("ipv4/ip_unprivileged_port_start", "0")
        tryWrite("ipv4/ping_group_range", "0 65535")
    }

    /// The errno, 0 on success.
    @discardableResult
    static func tryWrite(_ path: String, _ value: String) -> Int32 {
        let descriptor = open("/proc/sys/net/" + path, O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return errno }
        defer { close(descriptor) }
        let bytes = Array(value.utf8)
        return Glibc.write(descriptor, bytes, bytes.count) == bytes.count ? 0 : errno
    }
}

/// What a network changed on the host, written down before each change, so that `down`, or the daemon's next start,
/// can put it back.
struct HostJournal: Codable, Sendable, Equatable {
    struct Setting: Codable, Sendable, Equatable {
        /// Below /proc/sys/net.
        var path: String
        var before: String
        /// A setting that somebody else has changed since is not ours to put back.
        var after: String
    }

    var network: String
    var bridge: String
    /// In the order of the changes.
    var settings: [Setting] = []

    /// Settings that forwarding for a network of these families needs and that differ now, in the order in which
    /// they must be made. `read` gives a setting's value; `links` are the host's interfaces.
    static func forwarding(
        ipv4: Bool, ipv6: Bool, bridge: String, links: [String], read: (String) -> String?
    ) -> [Setting] {
        var needed: [Setting] = []
        func want(_ path: String, _ value: String) {
            guard let before = read(path), before != value else { return }
            needed.append(Setting(path: path, before: before, after: value))
        }
        if ipv4 { want("ipv4/ip_forward", "1") }
        if ipv6, read("ipv6/conf/all/forwarding") != "1" {
            // A host that forwards ignores router advertisements, and so would lose its own default route, unless
            // this is 2 (kernel documentation, ip-sysctl, accept_ra).
            for link in links where link != "lo" && link != bridge && read("ipv6/conf/\(link)/accept_ra") == "1" {
                want("ipv6/conf/\(link)/accept_ra", "2")
            }
            want("ipv6/conf/all/forwarding", "1")
        }
        return needed
    }

    /// Settings to write, newest change first, to have the host as it was before.
    func undo(keepForwarding: Bool, read: (String) -> String?) -> [Setting] {
        settings.reversed().filter { setting in
            // Forwarding that others rely on by now stays, and with it what depends on it.
            !keepForwarding && read(setting.path) == setting.after
        }
    }
}
