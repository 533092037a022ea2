import Engine
import Model
import Synchronization

/// Records of images by digest. They never change, so what was read once is good for ever.
final class ImageCache: Sendable {
    private let images: ImageService
    private let records = Mutex<[String: ImageRecord]>([:])
    private static let limit = 512

    init(_ images: ImageService) { self.images = images }

    /// nil for an instance without an image, or one whose image is gone.
    func record(_ digest: String?) async -> ImageRecord? {
        guard let digest else { return nil }
        if let known = records.withLock({ $0[digest] }) { return known }
        guard let view = try? await images.get(digest) else { return nil }
        records.withLock { records in
            if records.count >= Self.limit { records = [:] }
            records[digest] = view.record
        }
        return view.record
    }
}
