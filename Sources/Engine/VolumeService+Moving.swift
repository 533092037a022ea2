import DriverKit
import FoundationEssentials
import Glibc
import Logging
public import Model
import StateStore

// Copies of volumes, and volumes that get another name, project or pool.
extension VolumeService {
    /// Makes a volume with the content of another, and of its snapshots unless `volumeOnly`.
    ///
    /// - Parameter snapshot: of the source, to copy instead of its present.
    @discardableResult
    public func copy(
        _ source: VolumeRecord, snapshot: String? = nil, to target: VolumeRecord, volumeOnly: Bool = false
    ) async throws -> VolumeRecord {
        try Names.checkVolume(target.name)
        return try await withLocks([source, target]) {
            try refuseTaken(target)
            return try await journaled(.copy, from: source, to: target) {
                try await copyContent(source, snapshot: snapshot, to: target, volumeOnly: volumeOnly)
            }
        }
    }

    /// Gives a volume that nothing uses another name, pool or project; its snapshots go along.
    public func move(_ volume: VolumeRecord, to target: VolumeRecord, usedBy: [String]) async throws {
        try refuseUsed(volume, usedBy)
        guard key(volume) != key(target) else { return }
        try Names.checkVolume(target.name)
        try await withLocks([volume, target]) {
            try refuseTaken(target)
            guard volume.pool == target.pool else {
                return try await journaled(.move, from: volume, to: target) {
                    try await copyContent(volume, to: target)
                    try await backups.give(from: volume.backupOwner, to: target.backupOwner)
                    try await erase(volume)
                }
            }
            try await journaled(.rename, from: volume, to: target) {
                let pool = try await pools.pool(volume.pool)
                try await withReverter { reverter in
                    try await pool.renameVolume(volume.path, to: target.path)
                    reverter.onFailure("giving the volume's files their old name") {
                        try await pool.renameVolume(target.path, to: volume.path)
                    }
                    try await store.rename(volume, to: target)
                }
                try await backups.give(from: volume.backupOwner, to: target.backupOwner)
            }
            volumes[key(volume)] = nil
            volumes[key(target)] = target
            snapshotRecords[key(target)] = snapshotRecords.removeValue(forKey: key(volume))?.map { snapshot in
                var snapshot = snapshot
                (snapshot.project, snapshot.volume) = (target.project, target.name)
                return snapshot
            }
            events.lifecycle(
                "storage-volume-renamed", source(target), project: target.project, ["old_name": .string(volume.name)])
        }
    }

    public func renameSnapshot(_ name: String, of volume: VolumeRecord, to newName: String) async throws {
        try Names.checkSnapshot(newName)
        try await locks.withLock(key(volume)) {
            let old = try snapshot(name, of: volume)
            guard name != newName else { return }
            guard !snapshots(of: volume).contains(where: { $0.name == newName }) else {
                throw EngineError(
                    .alreadyExists,
                    "volume \(Names.quoted(volume.name)) has a snapshot \(Names.quoted(newName)) already")
            }
            var new = old
            new.name = newName
            let renamed = new
            try await journaled(.renameSnapshot(old.name, newName), from: volume, to: volume) {
                let pool = try await pools.pool(volume.pool)
                try await withReverter { reverter in
                    try await pool.renameVolume(old.path, to: renamed.path)
                    reverter.onFailure("giving the snapshot's files their old name") {
                        try await pool.renameVolume(renamed.path, to: old.path)
                    }
                    try await store.rename(old, to: renamed)
                }
            }
            replace(name, renamed, of: volume)
            events.lifecycle(
                "storage-volume-snapshot-renamed", source(volume) + "/snapshots/\(newName)", project: volume.project,
                ["old_name": .string(name)])
        }
    }

    /// Files first, then all records at once: with the record the copy is whole. To be called under the locks of both.
    @discardableResult
    private func copyContent(
        _ source: VolumeRecord, snapshot: String? = nil, to wanted: VolumeRecord, volumeOnly: Bool = false
    ) async throws -> VolumeRecord {
        var target = wanted
        target.content = source.content
        target.config = source.config.filter { !$0.key.hasPrefix("volatile.") }.merging(target.config) { $1 }
        try VolumeOptions.check(target.config, target.contentType)
        let (from, to) = (try await pools.pool(source.pool), try await pools.pool(target.pool))
        let origin = try snapshot.map { try self.snapshot($0, of: source).path } ?? source.path
        let snapshots = volumeOnly || snapshot != nil ? [] : self.snapshots(of: source)
        let copies = snapshots.map { snapshot in
            var copy = snapshot
            (copy.project, copy.pool, copy.volume) = (target.project, target.pool, target.name)
            return copy
        }
        for name in copies.map(\.path) + [target.path] { try refuseForeign(to.folder(of: name)) }
        let path = target.path
        target = try await withReverter { reverter in
            reverter.onFailure("removing the files of the copy") { try await to.removeVolume(path) }
            for (snapshot, copy) in zip(snapshots, copies) {
                try await to.cloneVolume(from.folder(of: snapshot.path), to: copy.path)
            }
            try await to.cloneVolume(from.folder(of: origin), to: path)
            let made = try await bounded(target, inherited: source.config["size"])
            try await store.insert(made, snapshots: copies)
            return made
        }
        volumes[key(target)] = target
        if !copies.isEmpty { snapshotRecords[key(target)] = copies }
        events.lifecycle("storage-volume-created", self.source(target), project: target.project)
        return target
    }

    /// Bounds a volume whose files are there. A bound that it has from where it came, and that its pool cannot enforce,
    /// is left out, as LXD does, rather than keep the volume from going there.
    func bounded(_ volume: VolumeRecord, inherited: String?) async throws -> VolumeRecord {
        guard let text = volume.config["size"], let size = Units.bytes(text) else { return volume }
        do {
            try await pools.pool(volume.pool).limitVolume(volume.path, volume.contentType, bytes: size)
            return volume
        } catch let error as EngineError where error.code == .unsupported && text == inherited {
            logger.warning(
                "a volume has no bound in its new pool",
                metadata: ["volume": "\(volume.name)", "pool": "\(volume.pool)", "size": "\(text)"])
            var volume = volume
            volume.config["size"] = nil
            return volume
        }
    }

    /// Files without a record may be somebody's whose record was lost: they are never replaced.
    func refuseForeign(_ folder: String) throws {
        guard access(folder, F_OK) != 0 else {
            throw EngineError(
                .alreadyExists, "\(folder) is there already, and belongs to no volume that is known",
                hint: "look into it, and move it away")
        }
    }

    /// In a fixed order, so that two moves in opposite directions do not wait for each other.
    private func withLocks<Result>(_ volumes: [VolumeRecord], _ body: () async throws -> Result) async throws -> Result
    {
        let keys = Set(volumes.map { key($0) }).sorted()
        guard let first = keys.first, let last = keys.last, first != last else {
            return try await locks.withLock(keys.first ?? "", body)
        }
        return try await locks.withLock(first) { try await locks.withLock(last, body) }
    }
}

// MARK: the journal

/// A change of volumes as the journal has it.
struct VolumeChange: Codable {
    enum Kind: Codable {
        case copy, move, rename
        case renameSnapshot(String, String)
    }

    var kind: Kind
    var from: VolumeRecord
    var to: VolumeRecord
}

extension JournalEntry {
    static let volumeStep = "volume"
    /// Such an entry names no instance.
    var isOfVolume: Bool { step == Self.volumeStep }
}

extension VolumeService {
    /// Writes the change down before `body` makes it. What `body` throws it has undone; what it could not undo stays
    /// written down, for the next start.
    private func journaled<Result>(
        _ kind: VolumeChange.Kind, from: VolumeRecord, to: VolumeRecord, _ body: () async throws -> Result
    ) async throws -> Result {
        let detail = try JSONEncoder().encode(VolumeChange(kind: kind, from: from, to: to))
        let entry = try await store.begin(
            "", step: JournalEntry.volumeStep, detail: String(decoding: detail, as: UTF8.self))
        do {
            let result = try await body()
            try await store.finish(entry)
            return result
        } catch let error as EngineError where error.cause is RevertFailure {
            throw error
        } catch {
            if case .move = kind, volumes[key(to)] != nil { throw error }
            try await store.finish(entry)
            throw error
        }
    }

    /// Finishes or undoes a change that a crash cut short. Records change in one step, after the files that they name
    /// are there: they tell which of both it is.
    func settle(_ entry: JournalEntry) async {
        do {
            let change = try JSONDecoder().decode(VolumeChange.self, from: Data(entry.detail.utf8))
            logger.notice(
                "settling a change of a volume that was cut short",
                metadata: ["from": "\(source(change.from))", "to": "\(source(change.to))"])
            try await settle(change)
            try await store.finish(entry.sequence)
        } catch {
            logger.error(
                "a change of a volume that was cut short cannot be settled",
                metadata: ["change": "\(entry.detail)", "error": "\(error)"])
        }
    }

    private func settle(_ change: VolumeChange) async throws {
        let (from, to) = (change.from, change.to)
        let pool = try await pools.pool(to.pool)
        switch change.kind {
        case .copy:
            if volumes[key(to)] == nil { try await pool.removeVolume(to.path) }
        case .move:
            guard volumes[key(to)] != nil else { return try await pool.removeVolume(to.path) }
            if volumes[key(from)] != nil { try await erase(from) }
        case .rename:
            guard volumes[key(from)] != nil, volumes[key(to)] == nil else { return }
            try await takeBack(to.path, from.path, pool)
        case .renameSnapshot(let old, let new):
            let known = snapshots(of: from).map(\.name)
            guard known.contains(old), !known.contains(new) else { return }
            var (before, after) = (from.path, from.path)
            (before.snapshot, after.snapshot) = (old, new)
            try await takeBack(after, before, pool)
        }
    }

    /// Gives files that have got the new name already their old one.
    private func takeBack(_ new: VolumeName, _ old: VolumeName, _ pool: any StoragePool) async throws {
        guard access(pool.folder(of: old), F_OK) != 0, access(pool.folder(of: new), F_OK) == 0 else { return }
        try await pool.renameVolume(new, to: old)
    }
}
