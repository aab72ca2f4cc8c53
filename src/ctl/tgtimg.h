/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "ctl/tgtadm.h"

const AdmOption *img_options(void); /* ends with name NULL */
