import Glibc
import Synchronization

/// A file descriptor that is closed exactly once: by `close()`, when given away by `take()` never, else when the
/// last reference goes.
public final class OwnedDescriptor: Sendable {
    private let value: Atomic<Int32>

    /// Takes over `descriptor`; the caller must not close it any more.
    public init(_ descriptor: Int32) { value = Atomic(descriptor) }

    /// The descriptor, or -1 once it is closed or taken. Valid only while a reference to this object is kept.
    public var raw: Int32 { value.load(ordering: .acquiring) }

    /// Gives the descriptor away: the caller closes it from now on. -1 if it is gone already.
    public func take() -> Int32 { value.exchange(-1, ordering: .acquiringAndReleasing) }

    /// Closes the descriptor; a second call does nothing.
    public func close() {
        let descriptor = take()
        if descriptor >= 0 { _ = Glibc.close(descriptor) }
    }

    deinit { close() }
}
