import Model
import ShimCore

// An instance's ids as those who map them are told.

extension ShimSpec.Identity {
    init(_ range: IDRange) {
        self.init(
            user: range.root.user, group: range.root.group, users: range.kernelMap(.user),
            groups: range.kernelMap(.group))
    }
}

extension RuntimeSpec.IDMapping {
    init(_ extent: IDRange.Extent) {
        self.init(containerID: extent.inside, hostID: extent.outside, size: extent.count)
    }
}
