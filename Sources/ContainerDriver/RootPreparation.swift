import CHost
import LinuxHost
import Model

/// What is looked up and put in order in an instance's root filesystem before its first process runs.
///
/// The root is reached through the shim's mount namespace, where nothing of the instance's own is mounted. Every
/// path in it is resolved by the kernel inside the root. What is made belongs to the instance's root user.
struct RootPreparation: Sendable {
    let root: RootDirectory
    let identity: IDRange?

    init(shim: Int32, rootfs: String, identity: IDRange?) throws {
        root = try RootDirectory(path: "/proc/\(shim)/root\(rootfs)")
        self.identity = identity
    }

    /// Makes the working folder if it is missing, as Docker does.
    func makeWorkingDirectory(_ path: String) async throws {
        guard path != "/", try !root.exists(path) else { return }
        try await asOwner { try root.makeDirectories(path, mode: 0o755) }
    }

    /// Gives a userland with its own init the name and, unless it finds its servers itself, the resolver that the
    /// plan says. Its files stay its own: a name that is known already is not written again.
    func writeSystemFiles(_ files: NetworkFiles, replacesResolver: Bool) async throws {
        guard try root.exists("etc") else { return }
        let name = files.hostname
        let short = String(name.dropLast())
        if try content("etc/hostname") != name {
            try await write("etc/hostname", name)
        }
        if let hosts = try content("etc/hosts") {
            let known = hosts.split(separator: "\n").contains { line in
                !line.hasPrefix("#")
                    && line.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().contains(short[...])
            }
            if !known {
                try await write(
                    "etc/hosts", hosts + (hosts.hasSuffix("\n") || hosts.isEmpty ? "" : "\n") + "127.0.1.1\t\(short)\n")
            }
        } else {
            try await write("etc/hosts", files.hosts)
        }
        guard !files.resolvConf.isEmpty else { return }
        let isLink = try root.status("etc/resolv.conf")?.kind == .symbolicLink
        if replacesResolver || !isLink, try content("etc/resolv.conf") != files.resolvConf {
            try await write("etc/resolv.conf", files.resolvConf)
        }
    }

    /// A text file of the root; nil if there is none. One that cannot be read is not taken for one that is not there,
    /// in whose place a new one is written.
    private func content(_ path: String) throws -> String? {
        do {
            return String(decoding: try root.readFile(path, limit: 1 << 20), as: UTF8.self)
        } catch let error as EngineError where error.code == .notFound {
            return nil
        }
    }

    private func write(_ path: String, _ text: String) async throws {
        try await asOwner { try root.writeFile(path, Array(text.utf8), mode: 0o644, durable: false) }
    }

    /// Runs `body` with the file ids of the instance's root user: through an idmapped mount the host's own root
    /// has no id and may create nothing.
    private func asOwner(_ body: @escaping @Sendable () throws -> Void) async throws {
        guard let identity else { return try await runBlocking(body) }
        try await runOnOwnThread {
            let root = identity.root
            // Per thread, and the thread ends with this work.
            isle_set_file_ids(root.user, root.group)
            try body()
        }
    }
}
