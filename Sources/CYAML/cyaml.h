#ifndef ISLE_CYAML_H
#define ISLE_CYAML_H

#include <yaml.h>

#endif
