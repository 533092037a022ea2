import Glibc
import Logging
import Model
import StateStore

/// Records and files of backups: each file is there before its record and gone before it.
struct BackupFiles: Sendable {
    let store: StateStore
    /// Where the files are, absolute.
    let folder: String

    func path(_ backup: BackupRecord) -> String { "\(folder)/\(backup.id.raw)" }

    func list(_ owner: BackupRecord.Owner) async throws -> [BackupRecord] { try await store.backups(of: owner) }

    func get(_ name: String, of owner: BackupRecord.Owner, shown: String) async throws -> BackupRecord {
        guard let backup = try await list(owner).first(where: { $0.name == name }) else {
            throw EngineError(
                .notFound, "\(shown) has no backup \(Names.quoted(name))", resource: "backup \(name)")
        }
        return backup
    }

    func remove(_ backup: BackupRecord) async throws {
        if unlink(path(backup)) != 0, errno != ENOENT {
            throw EngineError(
                .internal, "the backup \(path(backup)) cannot be removed: \(String(cString: strerror(errno)))")
        }
        try await store.deleteBackup(backup.id)
    }

    /// Removes all backups of what is deleted.
    func removeAll(_ owner: BackupRecord.Owner) async throws {
        for backup in try await list(owner) { try await remove(backup) }
    }

    /// The backups go along when a volume is renamed or moved.
    func give(from old: BackupRecord.Owner, to new: BackupRecord.Owner) async throws {
        for var backup in try await list(old) {
            backup.owner = new.description
            try await store.save(backup)
        }
    }

    /// Removes files that no record names: what a crash left half written.
    func recover() async throws {
        let known = try await store.backupIDs()
        guard let entries = opendir(folder) else { return }
        defer { closedir(entries) }
        var orphans: [String] = []
        while let entry = readdir(entries) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if InstanceID(name) != nil, !known.contains(name) { orphans.append(name) }
        }
        for name in orphans { unlink("\(folder)/\(name)") }
    }
}
