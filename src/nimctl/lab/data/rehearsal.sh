# Second part: what the rehearsal engine needs, and as little else as possible, because every node pulls it.
apt-get install -y -q --no-install-recommends $PACKAGES
apt-get clean
find /usr/lib/python3/dist-packages/numpy -type d -name tests -prune -exec rm -rf {} +
rm -rf /usr/lib/python3/dist-packages/numpy/f2py /var/lib/apt/lists/* /var/cache/apt/*.bin /var/log/*
rm -f /etc/apt/apt.conf.d/90nimctl-lab /usr/sbin/policy-rc.d
