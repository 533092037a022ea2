import DriverKit
import Model

// What cloud-init in a system container reads.
extension InstanceActor {
    private static let seedFolder = "/var/lib/cloud/seed/nocloud-net"

    /// Writes cloud-init's data into the files of a system container at rest, unless templates of its image do that. It
    /// does its work again when the data has changed. A container without cloud-init is left alone, which is told.
    func seedCloudInit(_ merged: MergedConfig) async throws {
        guard record.kind == .system,
            let seed = CloudInitSeed(
                merged.config, instance: "\(id.raw)-\(Self.revision(merged.config))",
                hostname: merged.config["hostname"] ?? record.name)
        else { return }
        let templates = try metadataFolder.read()?.templates.keys.map { $0 } ?? []
        guard !templates.contains(where: { $0.hasPrefix(Self.seedFolder + "/") }) else { return }
        let tree = try await openRestingFiles()
        do {
            if try await Self.hasCloudInit(tree) {
                try await write(seed, in: tree)
            } else {
                startNotices.append(
                    "instance \(Names.quoted(record.name)) has no cloud-init, which its cloud-init.* keys are for")
            }
        } catch {
            await tree.close()
            throw error
        }
        await tree.close()
    }

    private static func hasCloudInit(_ tree: any FileTree) async throws -> Bool {
        for path in ["/usr/bin/cloud-init", "/usr/local/bin/cloud-init"]
        where try await tree.facts(GuestPath(path), following: true) != nil {
            return true
        }
        return false
    }

    private func write(_ seed: CloudInitSeed, in tree: any FileTree) async throws {
        let folder = GuestPath(Self.seedFolder)
        try await makeFolders(folder, in: tree)
        for file in seed.files {
            // User data may hold secrets.
            let opened = try await tree.open(
                folder.appending(GuestPath(file.name)),
                FileOpening(
                    writes: true, creates: true, truncates: true,
                    attributes: FileChange(permissions: 0o600, user: 0, group: 0)))
            defer { opened.close() }
            try await opened.write(file.content, at: 0)
        }
    }

    /// FNV-1a of the data: the same for the same.
    private static func revision(_ config: [String: String]) -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for (key, value) in config.sorted(by: { $0.key < $1.key })
        where key.hasPrefix("cloud-init.")
            || ["user.user-data", "user.vendor-data", "user.network-config"].contains(key)
        {
            for byte in "\(key)=\(value)\0".utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        }
        return String(hash, radix: 16)
    }
}
