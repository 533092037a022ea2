import DriverKit
import Model
import StateStore

// Volumes that images ask for, and what a new volume begins with.
extension VolumeService {
    /// The volumes that were made for an instance because its image names them.
    func anonymous(of id: InstanceID) -> [VolumeRecord] {
        everything().filter { $0.madeFor == id }.sorted { $0.name < $1.name }
    }

    /// A name for a volume that nobody named: random, as Docker does it.
    static func anonymousName() -> String {
        (0..<2).map { _ in
            let digits = String(UInt64.random(in: .min ... .max), radix: 16)
            return String(repeating: "0", count: 16 - digits.utf8.count) + digits
        }.joined()
    }

    /// Fills a volume that no instance has had yet with what the image has at `target`.
    func fill(_ volume: VolumeRecord, at target: String, from image: ImageRecord?, copies: Bool) async throws {
        guard volume.isUsed != true else { return }
        try await locks.withLock(key(volume)) {
            guard var current = volumes[key(volume)], current.isUsed != true else { return }
            let folder = try await folder(volume)
            if copies, let filler, let image, image.content == .rootFilesystem {
                // Said to be begun and not to be done: a daemon that died in between left a part of it.
                if try current.isUsed == false || Folders.isEmpty(folder) {
                    current.isUsed = false
                    try await keep(current)
                    _ = try await filler.fill(
                        folder, from: target, layers: image.layers.map(\.diffID), staging: temporary)
                }
            }
            current.isUsed = true
            try await keep(current)
        }
    }

    private func keep(_ volume: VolumeRecord) async throws {
        try await store.save(volume)
        volumes[key(volume)] = volume
    }
}
