import Glibc
import Model

/// Blocks on their way from a thread that makes them to one that uses them, at most eight of a mebibyte: so that
/// decompressing and writing go on at the same time, in bounded memory.
///
/// The lock guards all that changes. A block belongs to the maker between `free` and `publish`, to the user between
/// `nextBlock` and its next call, hence the unchecked `Sendable`.
final class BlockPipeline: BlockSource, @unchecked Sendable {
    static let blockSize = 1 << 20
    private static let slots = 8

    private let memory = UnsafeMutableRawPointer.allocate(byteCount: blockSize * slots, alignment: 4096)
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var sizes = [Int](repeating: 0, count: slots)
    /// Numbers of blocks published, taken, and given back since the start.
    private var published = 0
    private var taken = 0
    private var released = 0
    /// What the maker ended with: nil while it goes on.
    private var end: Result<Void, any Error>?
    private var isAbandoned = false
    private var isCancelled = false

    init() {
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(changed, nil)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        pthread_cond_destroy(changed)
        mutex.deallocate()
        changed.deallocate()
        memory.deallocate()
    }

    /// Makes blocks out of all of `source`, until its end, its error, or until nobody wants them any more. The first
    /// block is what `source` makes of itself when it is opened, hence the closure.
    func fill(from makeSource: () throws -> any BlockSource) {
        do {
            let source = try makeSource()
            var used = 0
            guard var slot = freeBlock() else { return }
            while true {
                var block = try source.nextBlock()
                if block.isEmpty { break }
                while !block.isEmpty {
                    let count = min(block.count, Self.blockSize - used)
                    slot.advanced(by: used).copyMemory(
                        from: block.baseAddress ?? UnsafeRawPointer(slot), byteCount: count)
                    used += count
                    block = UnsafeRawBufferPointer(rebasing: block[count...])
                    if used == Self.blockSize {
                        publish(used)
                        used = 0
                        guard let next = freeBlock() else { return }
                        slot = next
                    }
                }
            }
            if used > 0 { publish(used) }
            finish(.success(()))
        } catch {
            finish(.failure(error))
        }
    }

    func nextBlock() throws -> UnsafeRawBufferPointer {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        if taken > released {
            released = taken
            pthread_cond_broadcast(changed)
        }
        while true {
            if isCancelled { throw EngineError(.cancelled, "reading the archive was cancelled") }
            if taken < published {
                let slot = taken % Self.slots
                taken += 1
                return UnsafeRawBufferPointer(start: memory + slot * Self.blockSize, count: sizes[slot])
            }
            if let end {
                try end.get()
                return UnsafeRawBufferPointer(start: nil, count: 0)
            }
            pthread_cond_wait(changed, mutex)
        }
    }

    /// The user takes no more blocks; the maker stops at its next one.
    func abandon() { set { $0.isAbandoned = true } }

    /// The user's next call throws `cancelled`.
    func cancel() {
        set {
            $0.isCancelled = true
            $0.isAbandoned = true
        }
    }

    private func finish(_ result: Result<Void, any Error>) { set { $0.end = result } }

    private func publish(_ size: Int) {
        set {
            $0.sizes[$0.published % Self.slots] = size
            $0.published += 1
        }
    }

    private func freeBlock() -> UnsafeMutableRawPointer? {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while published - released == Self.slots && !isAbandoned { pthread_cond_wait(changed, mutex) }
        return isAbandoned ? nil : memory + (published % Self.slots) * Self.blockSize
    }

    private func set(_ change: (BlockPipeline) -> Void) {
        pthread_mutex_lock(mutex)
        change(self)
        pthread_cond_broadcast(changed)
        pthread_mutex_unlock(mutex)
    }
}
