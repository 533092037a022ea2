import Logging
import Model
import StateStore

// What an instance keeps of the image that it was made from, as LXD's clients look for it.
extension InstanceRecord {
    /// Its properties as `image.NAME`, and its fingerprint where that is not the manifest's digest.
    mutating func note(_ image: ImageRecord) {
        for (name, value) in image.properties where !name.isEmpty && !value.isEmpty { config["image." + name] = value }
        config["volatile.base_image"] = image.bundle?.fingerprint
    }

    mutating func forgetImage() {
        config = config.filter { !$0.key.hasPrefix("image.") }
        config["volatile.base_image"] = nil
    }
}

extension ImageService {
    /// An instance was made of the image: one that is kept in passing stays for that much longer. To the minute: it is
    /// not worth a write each time.
    func noteUse(of image: ImageRecord) async {
        guard Clock.now - image.lastUsedAt > 60 || image.lastUsedAt <= image.addedAt else { return }
        do {
            guard var record = try await parts.store.image(digest: image.digest) else { return }
            record.lastUsedAt = Clock.now
            try await parts.store.save(record, references: [])
        } catch {
            parts.logger.error(
                "the use of an image was not noted", metadata: ["image": "\(image.digest)", "error": "\(error)"])
        }
    }
}
