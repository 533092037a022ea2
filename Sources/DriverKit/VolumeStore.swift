public import Model

/// Keeps custom volumes and their snapshots in one place. Owners in a volume are those inside the instances.
public protocol VolumeStore: Sendable {
    /// Makes an empty volume. `alreadyExists` if the name is taken.
    ///
    /// - Parameter size: bytes: of the disk of a block volume, else a bound; `unsupported` where it cannot be enforced.
    func makeVolume(_ volume: VolumeName, _ content: VolumeContent, size: Int64?) async throws
    /// The folder of a volume or snapshot, absolute; a block volume's disk is `root.img` in it.
    func folder(of volume: VolumeName) -> String
    /// Makes a volume or snapshot with the content of `source`: what `folder(of:)` gave, of this pool or another.
    func cloneVolume(_ source: String, to copy: VolumeName) async throws
    /// Gives a volume that nobody uses the content of a snapshot of it. May be called again after a crash in it.
    func restoreVolume(_ volume: VolumeName, from snapshot: VolumeName) async throws
    /// Gives a volume with its snapshots, or one snapshot, another name.
    func renameVolume(_ volume: VolumeName, to new: VolumeName) async throws
    /// Removes a volume with its snapshots, or one snapshot. No error if it is not there.
    func removeVolume(_ volume: VolumeName) async throws
    /// Bytes on disk.
    func volumeUsage(_ volume: VolumeName) async throws -> Int64
    /// Sets another size; nil: no bound.
    func limitVolume(_ volume: VolumeName, _ content: VolumeContent, bytes: Int64?) async throws
}
