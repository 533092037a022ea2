import FoundationEssentials
import Glibc
import LinuxHost
import Model

/// The files of one network below the run directory: journal, dnsmasq's configuration and state, one hosts file and
/// one DHCP reservation per endpoint. All of it can be made anew from the specification and the endpoints, but for the
/// journal, which is true only until the next boot, as the run directory is.
struct NetworkFolder: Sendable {
    let path: String

    init(path: String) { self.path = path }

    init(runDirectory: String, bridge: String) { path = Self.parent(runDirectory) + "/" + bridge }

    static func parent(_ runDirectory: String) -> String { runDirectory + "/networks" }

    var configuration: String { path + "/dnsmasq.conf" }
    var pidFile: String { path + "/dnsmasq.pid" }
    var log: String { path + "/dnsmasq.log" }
    var leases: String { path + "/leases" }
    var hosts: String { path + "/hosts" }
    var reservations: String { path + "/dhcp" }
    private var journal: String { path + "/journal.json" }

    /// Makes the folders, readable by dnsmasq's unprivileged user.
    func make() throws {
        for folder in [path, hosts, reservations] {
            try mkdirs(folder)
            guard chmod(folder, 0o755) == 0 else { throw Self.failure("make folder", folder) }
        }
    }

    /// Removes the folder and everything in it; no error if there is none.
    func remove() throws {
        do {
            try FileManager.default.removeItem(atPath: path)
        } catch {
            guard access(path, F_OK) == 0 else { return }
            throw EngineError(.internal, "cannot remove folder \(path)", cause: error)
        }
    }

    /// Nil if there is none. One that cannot be read is an error: writing it anew would lose what the host's settings
    /// were before.
    func readJournal() throws -> HostJournal? {
        let bytes: [UInt8]
        do { bytes = try readSmallFile(journal) } catch let error as EngineError where error.code == .notFound {
            return nil
        }
        do { return try JSONDecoder().decode(HostJournal.self, from: Data(bytes)) } catch {
            throw EngineError(
                .internal, "\(journal), which keeps the host's network settings as they were, is damaged",
                hint: "look at net.ipv4.ip_forward and its like, then remove the file", cause: error)
        }
    }

    func writeJournal(_ value: HostJournal) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        try replace(journal, with: Array(encoder.encode(value)))
    }

    /// Writes a file whole or not at all; a reader, dnsmasq's inotify watch too, sees it once and complete.
    func replace(_ file: String, with bytes: [UInt8], mode: mode_t = 0o644) throws {
        let temporary = path + "/.new"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode)
        guard descriptor >= 0 else { throw Self.failure("write", temporary) }
        let written = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
        let number = errno
        close(descriptor)
        guard written == bytes.count else {
            unlink(temporary)
            errno = written < 0 ? number : ENOSPC
            throw Self.failure("write", file)
        }
        guard rename(temporary, file) == 0 else { throw Self.failure("write", file) }
    }

    /// True if there was such a file.
    @discardableResult
    func removeFile(_ file: String) throws -> Bool {
        if unlink(file) == 0 { return true }
        guard errno == ENOENT else { throw Self.failure("remove", file) }
        return false
    }

    /// Names in a folder, without dot files; empty if there is no such folder.
    static func names(in folder: String) -> [String] {
        guard let directory = opendir(folder) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if !name.hasPrefix(".") { names.append(name) }
        }
        return names
    }

    /// The first folder on the way to `path` that users other than its owner cannot pass; nil if there is none.
    var impassableParent: String? {
        var parent = ""
        for part in path.split(separator: "/") {
            parent += "/" + part
            var status = stat()
            if stat(parent, &status) == 0, status.st_mode & 0o001 == 0 { return parent }
        }
        return nil
    }

    func mkdirs(_ folder: String) throws {
        var current = ""
        for part in folder.split(separator: "/") {
            current += "/" + part
            if mkdir(current, 0o755) != 0 && errno != EEXIST { throw Self.failure("make folder", current) }
        }
    }

    private static func failure(_ verb: String, _ path: String) -> EngineError {
        let number = errno
        return EngineError(
            number == ENOSPC ? .resourceExhausted : .internal,
            "cannot \(verb) \(path): \(String(cString: strerror(number)))")
    }
}
