public import OCI
import Synchronization

/// How far a pull or push is.
public struct TransferProgress: Sendable, Hashable {
    public enum State: String, Sendable {
        case waiting, transferring, done
        /// Was there before.
        case exists
    }
    /// The blob that this report is about.
    public var blob: ContentDigest
    public var state: State
    /// Bytes of this blob that are there, and its size.
    public var done: Int64
    public var total: Int64
    /// The same over all blobs of the image.
    public var allDone: Int64
    public var allTotal: Int64
    /// Blobs that are there, and how many there are.
    public var blobsDone: Int
    public var blobsTotal: Int
}

/// Is called from the tasks that transfer, at most about ten times a second for each blob; must not block.
public typealias ProgressHandler = @Sendable (TransferProgress) -> Void

/// Adds up the progress of the blobs of one image.
final class ProgressTracker: Sendable {
    private struct Item {
        var total: Int64
        var done: Int64 = 0
        var state = TransferProgress.State.waiting
        var reported: ContinuousClock.Instant?
    }

    private let items: Mutex<[ContentDigest: Item]>
    private let handler: ProgressHandler?

    init(_ blobs: [Descriptor], _ handler: ProgressHandler?) {
        items = Mutex(
            Dictionary(blobs.map { ($0.digest, Item(total: $0.size)) }, uniquingKeysWith: { first, _ in first }))
        self.handler = handler
        for blob in blobs { change(blob.digest) { _ in } }
    }

    /// `done` bytes of the blob are there.
    func reach(_ digest: ContentDigest, _ done: Int64) {
        change(digest, mayWait: true) { item in
            item.done = done
            item.state = .transferring
        }
    }

    /// `count` more bytes of the blob are there.
    func advance(_ digest: ContentDigest, by count: Int64) {
        change(digest, mayWait: true) { item in
            item.done = min(item.done + count, item.total)
            item.state = .transferring
        }
    }

    func finish(_ digest: ContentDigest, existed: Bool) {
        change(digest) { item in
            item.done = item.total
            item.state = existed ? .exists : .done
        }
    }

    private func change(_ digest: ContentDigest, mayWait: Bool = false, _ body: (inout Item) -> Void) {
        let report = items.withLock { items -> TransferProgress? in
            guard var item = items[digest] else { return nil }
            body(&item)
            let now = ContinuousClock.now
            let isDue = !mayWait || item.reported.map { now - $0 >= .milliseconds(100) } ?? true
            if isDue { item.reported = now }
            items[digest] = item
            guard isDue, handler != nil else { return nil }
            let ended = items.values.filter { $0.state == .done || $0.state == .exists }
            return TransferProgress(
                blob: digest, state: item.state, done: item.done, total: item.total,
                allDone: items.values.reduce(0) { $0 + $1.done }, allTotal: items.values.reduce(0) { $0 + $1.total },
                blobsDone: ended.count, blobsTotal: items.count)
        }
        if let report { handler?(report) }
    }
}
