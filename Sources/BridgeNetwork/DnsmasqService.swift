import FoundationEssentials
import Glibc
import LinuxHost
import Model

/// One network's dnsmasq process: started, found again after a restart of the daemon, told to read its files again,
/// stopped. It runs as an unprivileged user in a session of its own and outlives the daemon.
struct DnsmasqService: Sendable {
    let executable: String
    let folder: NetworkFolder
    /// Whom dnsmasq becomes after it has bound its sockets.
    let user: String

    /// The running process with the wanted configuration: the one that is there, or a new one.
    func ensure(_ configuration: String) throws -> Pidfd {
        let wanted = Array(configuration.utf8)
        if let process = find() {
            if (try? readSmallFile(folder.configuration)) == wanted { return process }
            try stop(process)
        }
        try folder.replace(folder.configuration, with: wanted)
        return try start()
    }

    /// The process of this network if it runs, whoever started it.
    ///
    /// Without its pid file, as when somebody emptied the run folder, it is found by its command line: a process that
    /// is left would keep the addresses that the next one needs.
    func find() -> Pidfd? { recorded() ?? left() }

    private func left() -> Pidfd? {
        guard let names = try? RootDirectory(path: "/proc").list() else { return nil }
        for entry in names {
            guard let pid = Int32(String(decoding: entry.name.bytes, as: UTF8.self)), pid > 1, isOurs(pid) else {
                continue
            }
            return try? Pidfd(pid)
        }
        return nil
    }

    private func recorded() -> Pidfd? {
        guard let bytes = try? readSmallFile(folder.pidFile),
            let pid = Int32(String(decoding: bytes.prefix { (48...57).contains($0) }, as: UTF8.self)), pid > 1,
            let process = try? Pidfd(pid), isOurs(pid)
        else { return nil }
        return process
    }

    /// Ends the process and waits until it is gone.
    func stop(_ process: Pidfd) throws {
        for signal in [SIGTERM, SIGKILL] {
            guard try process.signal(signal) else { break }
            if waitForEnd(process, milliseconds: 2000) { break }
        }
        _ = try? process.reap()
        try folder.removeFile(folder.pidFile)
    }

    /// Makes it forget reservations whose files are gone; files that come or change it sees by itself.
    func reload(_ process: Pidfd) throws { try process.signal(SIGHUP) }

    /// Starts it and waits until its sockets are bound, which is when it writes its process id.
    private func start() throws -> Pidfd {
        if let parent = folder.impassableParent {
            throw EngineError(
                .conflict, "folder \(parent) does not let user \(user) pass, who runs dnsmasq",
                hint: "chmod o+x \(parent)")
        }
        try folder.removeFile(folder.pidFile)
        try makeLeaseFile()
        let descriptor = open(folder.log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0o640)
        guard descriptor >= 0 else { throw EngineError(.internal, "cannot write \(folder.log)") }
        let log = OwnedDescriptor(descriptor)
        let process: Pidfd
        do {
            process = try Spawn.start(
                executable, ["--conf-file=\(folder.configuration)", "--keep-in-foreground", "--log-facility=-"],
                environment: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"], streams: .init(output: log, error: log))
        } catch let error as EngineError where error.code == .notFound {
            throw EngineError(
                .unsupported, "dnsmasq is not installed, which gives instances addresses and names",
                hint: "apt install dnsmasq-base")
        }
        // Debug builds of slow machines included, dnsmasq is ready within some tens of milliseconds.
        for _ in 0..<10_000 {
            if let bytes = try? readSmallFile(folder.pidFile), bytes.last == 10 { return process }
            if waitForEnd(process, milliseconds: 1) { break }
        }
        _ = try? process.signal(SIGKILL)
        _ = waitForEnd(process, milliseconds: 1000)
        _ = try? process.reap()
        throw EngineError(
            .internal, "dnsmasq with \(folder.configuration) does not start: \(lastWords)",
            hint: "another DNS or DHCP server on all addresses of this host? See: ss -lnup")
    }

    private var lastWords: String {
        let bytes = (try? readSmallFile(folder.log)) ?? []
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n").suffix(2)
        return lines.isEmpty ? "it said nothing" : lines.joined(separator: "; ")
    }

    /// dnsmasq rewrites the file in place as its own user.
    private func makeLeaseFile() throws {
        let descriptor = open(folder.leases, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o644)
        guard descriptor >= 0 else { throw EngineError(.internal, "cannot write \(folder.leases)") }
        defer { close(descriptor) }
        guard let entry = getpwnam(user), fchown(descriptor, entry.pointee.pw_uid, gid_t.max) == 0
        else { throw EngineError(.internal, "cannot give \(folder.leases) to user \(user)") }
    }

    /// Process ids are used again: only a dnsmasq with our configuration file is ours.
    private func isOurs(_ pid: Int32) -> Bool {
        guard let bytes = try? readSmallFile("/proc/\(pid)/cmdline") else { return false }
        let arguments = bytes.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
        return arguments.contains("--conf-file=\(folder.configuration)")
    }

    private func waitForEnd(_ process: Pidfd, milliseconds: Int32) -> Bool {
        var poll = pollfd(fd: process.descriptor.raw, events: Int16(POLLIN), revents: 0)
        return Glibc.poll(&poll, 1, milliseconds) > 0
    }

    /// Debian's package makes a user for it; `nobody` does too.
    static func unprivilegedUser() -> String { getpwnam("dnsmasq") != nil ? "dnsmasq" : "nobody" }
}
